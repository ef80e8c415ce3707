//! What the tests of the C ABI share: the library as a client loads it, and a compiler for kernels.

#![allow(
    dead_code,
    non_snake_case,
    reason = "every test file takes a part of this, under the names of the HIP headers"
)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::Library;

/// A device or host pointer.
pub type Ptr = *mut c_void;

macro_rules! functions {
    ($($name:ident($($type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        /// The functions of the library.
        pub struct Hip {
            $(pub $name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
            /// Keeps the functions where they are.
            pub library: Library,
        }

        impl Hip {
            fn load(path: &Path) -> Self {
                // SAFETY: loading the library runs no code of its own.
                let library = unsafe { Library::new(path) }.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                Self {
                    $($name: {
                        // SAFETY: the signature is that of the HIP headers.
                        let symbol = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *symbol.unwrap_or_else(|error| panic!("{error}"))
                    },)*
                    library,
                }
            }
        }
    };
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Dim3(pub u32, pub u32, pub u32);

pub type HostFn = extern "C" fn(Ptr);
pub type Callback = extern "C" fn(Ptr, c_int, Ptr);

functions! {
    hipInit(c_uint) -> c_int;
    hipDriverGetVersion(*mut c_int) -> c_int;
    hipRuntimeGetVersion(*mut c_int) -> c_int;
    hipGetLastError() -> c_int;
    hipPeekAtLastError() -> c_int;
    hipExtGetLastError() -> c_int;
    hipGetErrorName(c_int) -> *const c_char;
    hipGetErrorString(c_int) -> *const c_char;
    hipGetProcAddress(*const c_char, *mut Ptr, c_int, u64, *mut c_int) -> c_int;
    hipGetDeviceCount(*mut c_int) -> c_int;
    hipGetDevice(*mut c_int) -> c_int;
    hipSetDevice(c_int) -> c_int;
    hipDeviceGetAttribute(*mut c_int, c_int, c_int) -> c_int;
    hipGetDeviceProperties(Ptr, c_int) -> c_int;
    hipGetDevicePropertiesR0600(Ptr, c_int) -> c_int;
    hipDeviceGetName(*mut c_char, c_int, c_int) -> c_int;
    hipDeviceGetPCIBusId(*mut c_char, c_int, c_int) -> c_int;
    hipDeviceGetByPCIBusId(*mut c_int, *const c_char) -> c_int;
    hipDeviceTotalMem(*mut usize, c_int) -> c_int;
    hipDeviceSynchronize() -> c_int;
    hipDeviceReset() -> c_int;
    hipDeviceCanAccessPeer(*mut c_int, c_int, c_int) -> c_int;
    hipDeviceEnablePeerAccess(c_int, c_uint) -> c_int;
    hipDeviceDisablePeerAccess(c_int) -> c_int;
    hipCtxCreate(*mut Ptr, c_uint, c_int) -> c_int;
    hipCtxDestroy(Ptr) -> c_int;
    hipCtxGetCurrent(*mut Ptr) -> c_int;
    hipCtxSetCurrent(Ptr) -> c_int;
    hipCtxPushCurrent(Ptr) -> c_int;
    hipCtxPopCurrent(*mut Ptr) -> c_int;
    hipMalloc(*mut Ptr, usize) -> c_int;
    hipFree(Ptr) -> c_int;
    hipHostMalloc(*mut Ptr, usize, c_uint) -> c_int;
    hipHostFree(Ptr) -> c_int;
    hipHostRegister(Ptr, usize, c_uint) -> c_int;
    hipHostUnregister(Ptr) -> c_int;
    hipHostGetDevicePointer(*mut Ptr, Ptr, c_uint) -> c_int;
    hipHostGetFlags(*mut c_uint, Ptr) -> c_int;
    hipMallocManaged(*mut Ptr, usize, c_uint) -> c_int;
    hipMallocPitch(*mut Ptr, *mut usize, usize, usize) -> c_int;
    hipMallocAsync(*mut Ptr, usize, Ptr) -> c_int;
    hipFreeAsync(Ptr, Ptr) -> c_int;
    hipDeviceGetDefaultMemPool(*mut Ptr, c_int) -> c_int;
    hipMemPoolGetAttribute(Ptr, c_int, *mut u64) -> c_int;
    hipMemPoolSetAttribute(Ptr, c_int, *mut u64) -> c_int;
    hipMemGetInfo(*mut usize, *mut usize) -> c_int;
    hipMemGetAddressRange(*mut Ptr, *mut usize, Ptr) -> c_int;
    hipPointerGetAttributes(Ptr, Ptr) -> c_int;
    hipMemcpy(Ptr, *const c_void, usize, c_int) -> c_int;
    hipMemcpyAsync(Ptr, *const c_void, usize, c_int, Ptr) -> c_int;
    hipMemcpyHtoD(Ptr, *const c_void, usize) -> c_int;
    hipMemcpyDtoH(Ptr, Ptr, usize) -> c_int;
    hipMemcpyDtoD(Ptr, Ptr, usize) -> c_int;
    hipMemcpyPeer(Ptr, c_int, *const c_void, c_int, usize) -> c_int;
    hipMemcpy2D(Ptr, usize, *const c_void, usize, usize, usize, c_int) -> c_int;
    hipMemset(Ptr, c_int, usize) -> c_int;
    hipMemsetAsync(Ptr, c_int, usize, Ptr) -> c_int;
    hipMemsetD16(Ptr, u16, usize) -> c_int;
    hipMemsetD32(Ptr, c_int, usize) -> c_int;
    hipMemset2D(Ptr, usize, c_int, usize, usize) -> c_int;
    hipStreamCreate(*mut Ptr) -> c_int;
    hipStreamCreateWithFlags(*mut Ptr, c_uint) -> c_int;
    hipStreamCreateWithPriority(*mut Ptr, c_uint, c_int) -> c_int;
    hipStreamGetPriority(Ptr, *mut c_int) -> c_int;
    hipStreamGetFlags(Ptr, *mut c_uint) -> c_int;
    hipStreamGetDevice(Ptr, *mut c_int) -> c_int;
    hipStreamDestroy(Ptr) -> c_int;
    hipStreamQuery(Ptr) -> c_int;
    hipStreamSynchronize(Ptr) -> c_int;
    hipStreamWaitEvent(Ptr, Ptr, c_uint) -> c_int;
    hipStreamAddCallback(Ptr, Option<Callback>, Ptr, c_uint) -> c_int;
    hipLaunchHostFunc(Ptr, Option<HostFn>, Ptr) -> c_int;
    hipStreamWriteValue32(Ptr, Ptr, u32, c_uint) -> c_int;
    hipStreamWaitValue32(Ptr, Ptr, u32, c_uint, u32) -> c_int;
    hipEventCreate(*mut Ptr) -> c_int;
    hipEventCreateWithFlags(*mut Ptr, c_uint) -> c_int;
    hipEventDestroy(Ptr) -> c_int;
    hipEventRecord(Ptr, Ptr) -> c_int;
    hipEventQuery(Ptr) -> c_int;
    hipEventSynchronize(Ptr) -> c_int;
    hipEventElapsedTime(*mut f32, Ptr, Ptr) -> c_int;
    hipModuleLoad(*mut Ptr, *const c_char) -> c_int;
    hipModuleLoadData(*mut Ptr, *const c_void) -> c_int;
    hipModuleUnload(Ptr) -> c_int;
    hipModuleGetFunction(*mut Ptr, Ptr, *const c_char) -> c_int;
    hipModuleGetGlobal(*mut Ptr, *mut usize, Ptr, *const c_char) -> c_int;
    hipFuncGetAttribute(*mut c_int, c_int, Ptr) -> c_int;
    hipFuncSetAttribute(Ptr, c_int, c_int) -> c_int;
    hipModuleOccupancyMaxActiveBlocksPerMultiprocessor(*mut c_int, Ptr, c_int, usize) -> c_int;
    hipModuleOccupancyMaxPotentialBlockSize(*mut c_int, *mut c_int, Ptr, usize, c_int) -> c_int;
    hipModuleLaunchKernel(
        Ptr, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Ptr, *mut Ptr, *mut Ptr,
    ) -> c_int;
    hipExtModuleLaunchKernel(
        Ptr, u32, u32, u32, u32, u32, u32, usize, Ptr, *mut Ptr, *mut Ptr, Ptr, Ptr, u32,
    ) -> c_int;
    hipModuleLaunchCooperativeKernel(
        Ptr, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, Ptr, *mut Ptr,
    ) -> c_int;
    hipLaunchKernel(*const c_void, Dim3, Dim3, *mut Ptr, usize, Ptr) -> c_int;
    hipGraphCreate(*mut Ptr, c_uint) -> c_int;
    hipGraphDestroy(Ptr) -> c_int;
    hipGraphClone(*mut Ptr, Ptr) -> c_int;
    hipGraphGetNodes(Ptr, *mut Ptr, *mut usize) -> c_int;
    hipGraphGetEdges(Ptr, *mut Ptr, *mut Ptr, *mut usize) -> c_int;
    hipGraphNodeGetType(Ptr, *mut c_int) -> c_int;
    hipGraphAddMemsetNode(*mut Ptr, Ptr, *const Ptr, usize, *const c_void) -> c_int;
    hipGraphAddKernelNode(*mut Ptr, Ptr, *const Ptr, usize, *const c_void) -> c_int;
    hipGraphAddEmptyNode(*mut Ptr, Ptr, *const Ptr, usize) -> c_int;
    hipGraphAddDependencies(Ptr, *const Ptr, *const Ptr, usize) -> c_int;
    hipGraphKernelNodeGetParams(Ptr, Ptr) -> c_int;
    hipGraphExecKernelNodeSetParams(Ptr, Ptr, *const c_void) -> c_int;
    hipGraphInstantiate(*mut Ptr, Ptr, *mut Ptr, *mut c_char, usize) -> c_int;
    hipGraphInstantiateWithFlags(*mut Ptr, Ptr, u64) -> c_int;
    hipGraphExecDestroy(Ptr) -> c_int;
    hipGraphExecUpdate(Ptr, Ptr, *mut Ptr, *mut c_int) -> c_int;
    hipGraphNodeSetEnabled(Ptr, Ptr, c_uint) -> c_int;
    hipGraphLaunch(Ptr, Ptr) -> c_int;
    hipStreamBeginCapture(Ptr, c_int) -> c_int;
    hipStreamEndCapture(Ptr, *mut Ptr) -> c_int;
    hipStreamIsCapturing(Ptr, *mut c_int) -> c_int;
    __hipRegisterFatBinary(*const c_void) -> Ptr;
    __hipRegisterFunction(
        Ptr, *const c_void, *mut c_char, *const c_char, c_uint, Ptr, Ptr, Ptr, Ptr, *mut c_int,
    );
    __hipUnregisterFatBinary(Ptr);
    __hipPushCallConfiguration(Dim3, Dim3, usize, Ptr) -> c_int;
    __hipPopCallConfiguration(*mut Dim3, *mut Dim3, *mut usize, *mut Ptr) -> c_int;
    amdgpuEmulatorGetStats(*mut Stats) -> c_int;
    amdgpuEmulatorFailNext(*const c_char, u64, c_int) -> c_int;
    amdgpuEmulatorFailAfter(*const c_char, u64, c_int) -> c_int;
    amdgpuEmulatorFailClear() -> u64;
    amdgpuEmulatorFailPending() -> u64;
}

/// `struct amdgpuEmulatorStats`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub size: u64,
    pub allocations: u64,
    pub allocated_bytes: u64,
    pub modules: u64,
    pub streams: u64,
    pub events: u64,
    pub graphs: u64,
    pub graph_execs: u64,
    pub memory_pools: u64,
    pub user_objects: u64,
    pub launches: u64,
    pub calls: u64,
}

/// `hipError_t`.
pub mod code {
    pub const SUCCESS: i32 = 0;
    pub const INVALID_VALUE: i32 = 1;
    pub const OUT_OF_MEMORY: i32 = 2;
    pub const INVALID_CONFIGURATION: i32 = 9;
    pub const INVALID_PITCH: i32 = 12;
    pub const INVALID_DIRECTION: i32 = 21;
    pub const MISSING_CONFIGURATION: i32 = 52;
    pub const INVALID_DEVICE_FUNCTION: i32 = 98;
    pub const INVALID_DEVICE: i32 = 101;
    pub const INVALID_IMAGE: i32 = 200;
    pub const INVALID_CONTEXT: i32 = 201;
    pub const NO_BINARY_FOR_GPU: i32 = 209;
    pub const FILE_NOT_FOUND: i32 = 301;
    pub const INVALID_HANDLE: i32 = 400;
    pub const ILLEGAL_STATE: i32 = 401;
    pub const NOT_FOUND: i32 = 500;
    pub const NOT_READY: i32 = 600;
    pub const ILLEGAL_ADDRESS: i32 = 700;
    pub const PEER_ALREADY_ENABLED: i32 = 704;
    pub const PEER_NOT_ENABLED: i32 = 705;
    pub const ALREADY_REGISTERED: i32 = 712;
    pub const NOT_REGISTERED: i32 = 713;
    pub const LAUNCH_FAILURE: i32 = 719;
    pub const COOPERATIVE_TOO_LARGE: i32 = 720;
    pub const CAPTURE_UNSUPPORTED: i32 = 900;
    pub const CAPTURE_INVALIDATED: i32 = 901;
    pub const CAPTURE_UNMATCHED: i32 = 903;
    pub const CAPTURE_UNJOINED: i32 = 904;
    pub const CAPTURE_ISOLATION: i32 = 905;
    pub const CAPTURE_IMPLICIT: i32 = 906;
    pub const CAPTURED_EVENT: i32 = 907;
    pub const GRAPH_UPDATE_FAILURE: i32 = 910;
}

/// `hipMemcpyKind`.
pub const TO_DEVICE: c_int = 1;
pub const TO_HOST: c_int = 2;
pub const ON_DEVICE: c_int = 3;
pub const BY_ADDRESS: c_int = 4;

/// Checks that a call returns what is expected.
macro_rules! expect {
    ($expected:expr, $hip:ident.$name:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: the arguments are what the function asks for, or null where it checks for null.
        let code = unsafe { ($hip.$name)($($argument),*) };
        assert_eq!(code, $expected, "{}: {}", stringify!($name), $hip.name(code));
    }};
}

/// Checks that a call succeeds.
macro_rules! ok {
    ($hip:ident.$name:ident($($argument:expr),* $(,)?)) => {
        expect!($crate::abi_support::code::SUCCESS, $hip.$name($($argument),*))
    };
}

/// The library as cargo built it for this test.
pub fn library_path() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    // Beside the test, where `cargo test` puts it, or one folder up, where `cargo build` does.
    let folders: Vec<&Path> = test.ancestors().skip(1).take(2).collect();
    let found = folders
        .iter()
        .map(|folder| folder.join("libamdhip64.so"))
        .find(|path| path.exists());
    found.unwrap_or_else(|| {
        panic!("libamdhip64.so is in none of {folders:?}; `cargo build --release -p amdgpu-emulator` makes it")
    })
}

/// The library, loaded with a setting of its environment variables, for the whole process. The guard keeps other tests
/// of the process away: devices, counters and injected failures are shared.
pub fn hip_with(settings: &[(&str, &str)]) -> (&'static Hip, MutexGuard<'static, ()>) {
    static HIP: OnceLock<Hip> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let hip = HIP.get_or_init(|| {
        for (name, value) in settings {
            // SAFETY: tests start here, one after the other, and nothing else of the process uses the environment.
            unsafe { std::env::set_var(name, value) };
        }
        Hip::load(&library_path())
    });
    (hip, turn)
}

/// The memory of the device of [`one_device`].
pub const MEMORY: usize = 256 << 20;

/// The library with one gfx1100, as HIP 6.4.
pub fn one_device() -> (&'static Hip, MutexGuard<'static, ()>) {
    hip_with(&[
        ("AMDGPU_EMULATOR_DEVICES", "gfx1100"),
        ("AMDGPU_EMULATOR_MEMORY", "256M"),
        ("AMDGPU_EMULATOR_HIP_VERSION", "6.4"),
        ("AMDGPU_EMULATOR_LOG", "off"),
    ])
}

/// The code object of [`KERNELS`] for gfx1100.
pub fn kernels() -> Vec<u8> {
    code_object(KERNELS, "gfx1100")
}

impl Hip {
    /// The name of an error.
    pub fn name(&self, code: c_int) -> String {
        // SAFETY: the function takes any number and returns a string that lasts.
        unsafe { CStr::from_ptr((self.hipGetErrorName)(code)) }
            .to_string_lossy()
            .into_owned()
    }

    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            size: size_of::<Stats>() as u64,
            ..Stats::default()
        };
        ok!(self.amdgpuEmulatorGetStats(&mut stats));
        stats
    }

    /// What is alive: the statistics without what only grows.
    pub fn alive(&self) -> Stats {
        Stats {
            launches: 0,
            calls: 0,
            ..self.stats()
        }
    }

    pub fn malloc(&self, size: usize) -> Ptr {
        let mut pointer = std::ptr::null_mut();
        ok!(self.hipMalloc(&mut pointer, size));
        pointer
    }

    /// Device memory with these values.
    pub fn upload<T: Copy>(&self, values: &[T]) -> Ptr {
        let pointer = self.malloc(size_of_val(values));
        ok!(self.hipMemcpyHtoD(pointer, values.as_ptr().cast(), size_of_val(values)));
        pointer
    }

    /// Values from device memory.
    pub fn download<T: Copy + Default>(&self, pointer: Ptr, count: usize) -> Vec<T> {
        let mut values = vec![T::default(); count];
        ok!(self.hipMemcpyDtoH(values.as_mut_ptr().cast(), pointer, count * size_of::<T>()));
        values
    }

    pub fn free(&self, pointer: Ptr) {
        ok!(self.hipFree(pointer));
    }

    pub fn stream(&self) -> Ptr {
        let mut stream = std::ptr::null_mut();
        ok!(self.hipStreamCreate(&mut stream));
        stream
    }

    pub fn event(&self) -> Ptr {
        let mut event = std::ptr::null_mut();
        ok!(self.hipEventCreate(&mut event));
        event
    }

    pub fn load_module(&self, image: &[u8]) -> Ptr {
        let mut module = std::ptr::null_mut();
        ok!(self.hipModuleLoadData(&mut module, image.as_ptr().cast()));
        module
    }

    pub fn function(&self, module: Ptr, name: &CStr) -> Ptr {
        let mut function = std::ptr::null_mut();
        ok!(self.hipModuleGetFunction(&mut function, module, name.as_ptr()));
        function
    }

    /// Launches blocks of one dimension and returns the status.
    pub fn launch(
        &self,
        function: Ptr,
        blocks: u32,
        threads: u32,
        stream: Ptr,
        arguments: &mut [Ptr],
    ) -> c_int {
        let (arguments, extra) = (arguments.as_mut_ptr(), std::ptr::null_mut());
        // SAFETY: the tests pass as many arguments as their kernels have.
        unsafe {
            (self.hipModuleLaunchKernel)(
                function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, extra,
            )
        }
    }
}

/// A pointer to an argument of a launch.
pub fn arg<T>(value: &T) -> Ptr {
    std::ptr::from_ref(value).cast_mut().cast()
}

/// The installation of the toolchain.
pub fn rocm() -> PathBuf {
    let prefix = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rocm");
    let named = std::env::var_os("ROCM_PATH").map(PathBuf::from);
    let tried: Vec<PathBuf> = named
        .into_iter()
        .chain([prefix, "/opt/rocm".into()])
        .collect();
    let found = tried
        .iter()
        .find(|root| root.join("bin/hipcc").exists())
        .cloned();
    found
        .unwrap_or_else(|| panic!("no hipcc in any of {tried:?}; `cargo xtask setup` installs one"))
}

/// Runs hipcc and returns what it writes to `output`. What was compiled before is taken from the folder of the build.
pub fn hipcc(source: &str, arguments: &[&str], output: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (source, arguments, output).hash(&mut hasher);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hip-{:016x}", hasher.finish()));
    let made = folder.join(output);
    if made.exists() {
        return made;
    }
    std::fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let program = folder.join("program.hip");
    std::fs::write(&program, source)
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let root = rocm();
    // Another test may compile the same: each writes under a name of its own.
    let unfinished = folder.join(format!("{output}.{}", std::process::id()));
    let mut command = Command::new(root.join("bin/hipcc"));
    command
        .env("ROCM_PATH", &root)
        .env("HIP_PATH", &root)
        .env("HIP_CLANG_PATH", root.join("llvm/bin"))
        .env("DEVICE_LIB_PATH", root.join("amdgcn/bitcode"))
        .env("HIP_PLATFORM", "amd")
        .args(["-O2", "-std=c++17", "-Wno-unused-result"])
        .args(arguments)
        .arg("-o")
        .arg(&unfinished)
        .arg(&program);
    let result = command
        .output()
        .unwrap_or_else(|error| panic!("hipcc of {}: {error}", root.display()));
    assert!(
        result.status.success(),
        "hipcc: {}",
        String::from_utf8_lossy(&result.stderr)
    );
    std::fs::rename(&unfinished, &made)
        .unwrap_or_else(|error| panic!("{}: {error}", made.display()));
    made
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code object of a source for one architecture.
pub fn code_object(source: &str, arch: &str) -> Vec<u8> {
    code_object_with(source, arch, &[])
}

/// The code object of a source for one architecture, compiled with more options.
pub fn code_object_with(source: &str, arch: &str, options: &[&str]) -> Vec<u8> {
    let arch = format!("--offload-arch={arch}");
    let mut arguments = vec!["--cuda-device-only", "--no-gpu-bundle-output", &arch, "-c"];
    arguments.extend(options);
    read(&hipcc(source, &arguments, "program.hsaco"))
}

/// The offload bundle of a source for some architectures.
pub fn bundle(source: &str, archs: &[&str]) -> Vec<u8> {
    let archs: Vec<String> = archs
        .iter()
        .map(|arch| format!("--offload-arch={arch}"))
        .collect();
    let mut arguments = vec!["--genco"];
    arguments.extend(archs.iter().map(String::as_str));
    read(&hipcc(source, &arguments, "program.hipfb"))
}

/// The kernels that most tests use.
pub const KERNELS: &str = r#"
#include <hip/hip_runtime.h>
__device__ int counter = 41;
__device__ int table[8];
__constant__ float factor = 2.0f;

extern "C" __global__ void add(const float* a, const float* b, float* c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

extern "C" __global__ void increment(unsigned* values, unsigned by) {
    values[blockIdx.x * blockDim.x + threadIdx.x] += by;
}

extern "C" __global__ void mixed(char a, double b, short c, float* out) {
    out[0] = a; out[1] = b; out[2] = c; out[3] = factor;
}

extern "C" __global__ void count() { atomicAdd(&counter, 1); }

extern "C" __global__ void geometry(unsigned* out) {
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    atomicAdd(out + block, 1000000 * gridDim.x + thread + 1);
}

extern "C" __global__ void reverse(int* values) {
    extern __shared__ int shared[];
    shared[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    values[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(64) bounded(int* out) { out[threadIdx.x] = 1; }

extern "C" __global__ void wild(int* out) { out[1 << 20] = 1; }
"#;
