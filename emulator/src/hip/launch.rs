//! The functions that launch kernels.

use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::Arc;

use super::call::hip_api;
use super::copy::own;
use super::ffi::{EventHandle, FunctionHandle, List, Out, StreamHandle};
use super::function::Function;
use super::kernel::{Arguments, BUFFER_POINTER, BUFFER_SIZE, END, KernelLaunch};
use super::runtime::{device, get};
use super::status::{Code, Outcome};
use super::stream::{self, Stream};
use super::types::{dim3, hipFunctionLaunchParams, hipLaunchParams};
use super::work::Work;

/// A launch that was configured and waits for its call.
struct Configuration {
    grid: dim3,
    block: dim3,
    lds: usize,
    stream: StreamHandle,
    /// The kernarg segment that `hipSetupArgument` filled.
    arguments: Vec<u8>,
}

thread_local! {
    static CONFIGURATIONS: RefCell<Vec<Configuration>> = const { RefCell::new(Vec::new()) };
}

/// The function with this handle; it has to be loaded on the stream's device.
fn of_stream(function: FunctionHandle, stream: &Stream) -> Outcome<Arc<Function>> {
    if function.is_null() {
        return Err(Code::InvalidImage.because("the function is null"));
    }
    let function = get().functions.get(function)?;
    if function.module.device() != stream.device {
        return Err(Code::InvalidDevice.because(format!(
            "the function is loaded on device {}, the stream belongs to device {}",
            function.module.device(),
            stream.device
        )));
    }
    Ok(function)
}

/// The grid in work-items.
fn items(grid: [u32; 3], block: [u32; 3]) -> [u64; 3] {
    [0, 1, 2].map(|d| u64::from(grid[d]) * u64::from(block[d]))
}

fn launch_module(
    function: FunctionHandle,
    grid: [u64; 3],
    block: [u32; 3],
    lds: usize,
    stream: StreamHandle,
    arguments: Arguments,
    cooperative: bool,
) -> Outcome {
    let stream = stream::usable(stream)?;
    let name = function.0;
    let function = of_stream(function, &stream)?;
    let launch = KernelLaunch::new(function, name, grid, block, lds, arguments)?;
    enqueue(&stream, launch, cooperative)
}

/// The launch of a kernel that is linked into the program.
pub fn registered(
    stub: *const c_void,
    stream: &Stream,
    grid: dim3,
    block: dim3,
    lds: usize,
    arguments: Arguments,
) -> Outcome<KernelLaunch> {
    if stub.is_null() {
        return Err(Code::InvalidDeviceFunction.because("the function is null"));
    }
    let device = device(stream.device as c_int)?;
    // A handle from `hipGetFuncBySymbol` or of a module is taken as well.
    let function = match get().functions.get(FunctionHandle::new(stub as usize)) {
        Ok(function) => function,
        Err(_) => get().registered.function(stub as usize, device)?,
    };
    let block = [block.x, block.y, block.z];
    KernelLaunch::new(
        function,
        stub as usize,
        items([grid.x, grid.y, grid.z], block),
        block,
        lds,
        arguments,
    )
}

fn launch_registered(
    stub: *const c_void,
    (grid, block): (dim3, dim3),
    lds: usize,
    stream: StreamHandle,
    arguments: Arguments,
    cooperative: bool,
) -> Outcome {
    let stream = stream::usable(stream)?;
    let launch = registered(stub, &stream, grid, block, lds, arguments)?;
    enqueue(&stream, launch, cooperative)
}

fn enqueue(stream: &Arc<Stream>, mut launch: KernelLaunch, cooperative: bool) -> Outcome {
    if cooperative {
        let blocks: u64 = [0, 1, 2]
            .iter()
            .map(|d| u64::from(launch.grid[*d].div_ceil(launch.block[*d])))
            .product();
        let threads = launch.block.iter().product();
        let lds = launch.dynamic_lds as usize;
        let most = super::function::resident_blocks(&launch.function, threads, lds);
        if blocks > most {
            return Err(Code::CooperativeLaunchTooLarge.because(format!(
                "{}: {blocks} blocks, {most} are resident at a time",
                launch.function.kernel().name
            )));
        }
        launch.cooperative = true;
    }
    stream.submit(Work::Kernel(Box::new(launch)))
}

/// A launch between two events, either of which may be absent.
fn between_events(
    stream: StreamHandle,
    (start, stop): (EventHandle, EventHandle),
    launch: impl FnOnce() -> Outcome,
) -> Outcome {
    let find = |event: EventHandle| match event.is_null() {
        true => Ok(None),
        false => get().events.get(event).map(Some),
    };
    let (start, stop) = (find(start)?, find(stop)?);
    let stream = stream::usable(stream)?;
    if let Some(start) = start {
        stream::record(&stream, &start)?;
    }
    launch()?;
    match stop {
        Some(stop) => stream::record(&stream, &stop),
        None => Ok(()),
    }
}

/// Arguments in the form of a pointer to each.
pub fn params(params: *mut *mut c_void) -> Arguments {
    Arguments {
        params,
        extra: std::ptr::null_mut(),
    }
}

fn push(grid: dim3, block: dim3, lds: usize, stream: StreamHandle) {
    let configuration = Configuration {
        grid,
        block,
        lds,
        stream,
        arguments: Vec::new(),
    };
    CONFIGURATIONS.with_borrow_mut(|stack| stack.push(configuration));
}

fn pop() -> Outcome<Configuration> {
    let popped = CONFIGURATIONS.with_borrow_mut(Vec::pop);
    popped.ok_or_else(|| Code::MissingConfiguration.because("no launch was configured"))
}

hip_api! {
    fn hipModuleLaunchKernel(
        f: FunctionHandle,
        gridDimX: c_uint,
        gridDimY: c_uint,
        gridDimZ: c_uint,
        blockDimX: c_uint,
        blockDimY: c_uint,
        blockDimZ: c_uint,
        sharedMemBytes: c_uint,
        stream: StreamHandle,
        kernelParams: *mut *mut c_void,
        extra: *mut *mut c_void,
    ) {
        let block = [blockDimX, blockDimY, blockDimZ];
        let grid = items([gridDimX, gridDimY, gridDimZ], block);
        let arguments = Arguments { params: kernelParams, extra };
        launch_module(f, grid, block, sharedMemBytes as usize, stream, arguments, false)
    }

    fn hipModuleLaunchCooperativeKernel(
        f: FunctionHandle,
        gridDimX: c_uint,
        gridDimY: c_uint,
        gridDimZ: c_uint,
        blockDimX: c_uint,
        blockDimY: c_uint,
        blockDimZ: c_uint,
        sharedMemBytes: c_uint,
        stream: StreamHandle,
        kernelParams: *mut *mut c_void,
    ) {
        let block = [blockDimX, blockDimY, blockDimZ];
        let grid = items([gridDimX, gridDimY, gridDimZ], block);
        launch_module(f, grid, block, sharedMemBytes as usize, stream, params(kernelParams), true)
    }

    fn hipExtModuleLaunchKernel(
        f: FunctionHandle,
        globalWorkSizeX: u32,
        globalWorkSizeY: u32,
        globalWorkSizeZ: u32,
        localWorkSizeX: u32,
        localWorkSizeY: u32,
        localWorkSizeZ: u32,
        sharedMemBytes: usize,
        hStream: StreamHandle,
        kernelParams: *mut *mut c_void,
        extra: *mut *mut c_void,
        startEvent: EventHandle,
        stopEvent: EventHandle,
        flags: u32,
    ) {
        let _ = flags;
        let grid = [globalWorkSizeX, globalWorkSizeY, globalWorkSizeZ].map(u64::from);
        let block = [localWorkSizeX, localWorkSizeY, localWorkSizeZ];
        let arguments = Arguments { params: kernelParams, extra };
        between_events(hStream, (startEvent, stopEvent), || {
            launch_module(f, grid, block, sharedMemBytes, hStream, arguments, false)
        })
    }

    fn hipHccModuleLaunchKernel(
        f: FunctionHandle,
        globalWorkSizeX: u32,
        globalWorkSizeY: u32,
        globalWorkSizeZ: u32,
        localWorkSizeX: u32,
        localWorkSizeY: u32,
        localWorkSizeZ: u32,
        sharedMemBytes: usize,
        hStream: StreamHandle,
        kernelParams: *mut *mut c_void,
        extra: *mut *mut c_void,
        startEvent: EventHandle,
        stopEvent: EventHandle,
    ) {
        let grid = [globalWorkSizeX, globalWorkSizeY, globalWorkSizeZ].map(u64::from);
        let block = [localWorkSizeX, localWorkSizeY, localWorkSizeZ];
        let arguments = Arguments { params: kernelParams, extra };
        between_events(hStream, (startEvent, stopEvent), || {
            launch_module(f, grid, block, sharedMemBytes, hStream, arguments, false)
        })
    }

    fn hipLaunchKernel(
        function_address: *const c_void,
        numBlocks: dim3,
        dimBlocks: dim3,
        args: *mut *mut c_void,
        sharedMemBytes: usize,
        stream: StreamHandle,
    ) {
        launch_registered(function_address, (numBlocks, dimBlocks), sharedMemBytes, stream, params(args), false)
    }

    fn hipLaunchKernel_spt(
        function_address: *const c_void,
        numBlocks: dim3,
        dimBlocks: dim3,
        args: *mut *mut c_void,
        sharedMemBytes: usize,
        stream: StreamHandle,
    ) {
        let stream = own(stream);
        launch_registered(function_address, (numBlocks, dimBlocks), sharedMemBytes, stream, params(args), false)
    }

    fn hipExtLaunchKernel(
        function_address: *const c_void,
        numBlocks: dim3,
        dimBlocks: dim3,
        args: *mut *mut c_void,
        sharedMemBytes: usize,
        stream: StreamHandle,
        startEvent: EventHandle,
        stopEvent: EventHandle,
        flags: c_int,
    ) {
        let _ = flags;
        between_events(stream, (startEvent, stopEvent), || {
            launch_registered(function_address, (numBlocks, dimBlocks), sharedMemBytes, stream, params(args), false)
        })
    }

    fn hipLaunchCooperativeKernel(
        f: *const c_void,
        gridDim: dim3,
        blockDimX: dim3,
        kernelParams: *mut *mut c_void,
        sharedMemBytes: c_uint,
        stream: StreamHandle,
    ) {
        launch_registered(f, (gridDim, blockDimX), sharedMemBytes as usize, stream, params(kernelParams), true)
    }

    fn hipLaunchCooperativeKernel_spt(
        f: *const c_void,
        gridDim: dim3,
        blockDimX: dim3,
        kernelParams: *mut *mut c_void,
        sharedMemBytes: c_uint,
        stream: StreamHandle,
    ) {
        let stream = own(stream);
        launch_registered(f, (gridDim, blockDimX), sharedMemBytes as usize, stream, params(kernelParams), true)
    }

    fn hipExtLaunchMultiKernelMultiDevice(launchParamsList: List<hipLaunchParams>, numDevices: c_int, flags: c_uint) {
        let _ = flags;
        launchParamsList.check()?;
        let count = usize::try_from(numDevices).map_err(|_| Code::InvalidValue)?;
        for p in launchParamsList.get(count)? {
            if p.stream.is_null() {
                return Err(Code::InvalidHandle.because("each device needs a stream of its own"));
            }
            launch_registered(p.func, (p.gridDim, p.blockDim), p.sharedMem, p.stream, params(p.args), false)?;
        }
        Ok(())
    }

    fn hipLaunchCooperativeKernelMultiDevice(
        launchParamsList: List<hipLaunchParams>,
        numDevices: c_int,
        flags: c_uint,
    ) {
        let _ = (numDevices, flags);
        launchParamsList.check()?;
        Err(Code::NotSupported.because("devices do not run at a time here, so kernels cannot wait for each other"))
    }

    fn hipModuleLaunchCooperativeKernelMultiDevice(
        launchParamsList: List<hipFunctionLaunchParams>,
        numDevices: c_uint,
        flags: c_uint,
    ) {
        let _ = (numDevices, flags);
        launchParamsList.check()?;
        Err(Code::NotSupported.because("devices do not run at a time here, so kernels cannot wait for each other"))
    }

    fn __hipPushCallConfiguration(gridDim: dim3, blockDim: dim3, sharedMem: usize, stream: StreamHandle) {
        push(gridDim, blockDim, sharedMem, stream);
        Ok(())
    }

    fn __hipPopCallConfiguration(
        gridDim: Out<dim3>,
        blockDim: Out<dim3>,
        sharedMem: Out<usize>,
        stream: Out<StreamHandle>,
    ) {
        let configuration = pop()?;
        gridDim.set(configuration.grid)?;
        blockDim.set(configuration.block)?;
        sharedMem.set(configuration.lds)?;
        stream.set(configuration.stream)
    }

    fn hipConfigureCall(gridDim: dim3, blockDim: dim3, sharedMem: usize, stream: StreamHandle) {
        push(gridDim, blockDim, sharedMem, stream);
        Ok(())
    }

    fn hipSetupArgument(arg: *const c_void, size: usize, offset: usize) {
        /// No kernarg segment is larger.
        const MOST: usize = 64 << 10;
        let end = offset.checked_add(size).filter(|end| *end <= MOST);
        let end = end.ok_or_else(|| Code::InvalidValue.because(format!("{size} bytes at offset {offset}")))?;
        let bytes = List::at(arg.cast::<u8>()).get(size)?;
        CONFIGURATIONS.with_borrow_mut(|stack| {
            let configuration = stack.last_mut();
            let configuration = configuration.ok_or_else(|| Code::MissingConfiguration.because("no launch was configured"))?;
            if configuration.arguments.len() < end {
                configuration.arguments.resize(end, 0);
            }
            configuration.arguments[offset..end].copy_from_slice(&bytes);
            Ok(())
        })
    }

    fn hipLaunchByPtr(func: *const c_void) {
        let mut configuration = pop()?;
        let mut size = configuration.arguments.len();
        let mut extra = [
            BUFFER_POINTER as *mut c_void,
            configuration.arguments.as_mut_ptr().cast(),
            BUFFER_SIZE as *mut c_void,
            (&raw mut size).cast(),
            END as *mut c_void,
        ];
        let arguments = Arguments { params: std::ptr::null_mut(), extra: extra.as_mut_ptr() };
        let Configuration { grid, block, lds, stream, .. } = configuration;
        launch_registered(func, (grid, block), lds, stream, arguments, false)
    }
}
