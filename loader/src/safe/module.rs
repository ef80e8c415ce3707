//! Loaded code objects.

use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use codeobject::bundle::Bundle;
use codeobject::{CodeObject, Kernel, TargetId};
use rustc_hash::FxHashMap;

use super::function::LaunchFacts;
use super::reclaim::Resource;
use super::{Device, DevicePtr, Error, Function, ModuleError};
use crate::result;
use crate::sys::{hipFunction_t, hipModule_t};

/// Bytes of a bundle or of a code object, and what to call them in a message.
///
/// A file is mapped, not read: of a bundle that is not compressed only the table and the device's own code object are
/// touched.
#[derive(Clone)]
pub struct Image {
    name: Cow<'static, str>,
    bytes: Bytes,
    range: Range<usize>,
}

#[derive(Clone)]
enum Bytes {
    Static(&'static [u8]),
    Owned(Arc<AlignedBytes>),
    Mapped(Arc<memmap2::Mmap>),
}

/// Bytes at an address that is a multiple of 16, as an ELF reader may expect.
struct AlignedBytes {
    words: Vec<u128>,
    len: usize,
}

impl AlignedBytes {
    fn copy_of(bytes: &[u8]) -> Self {
        let chunks = bytes.chunks(size_of::<u128>());
        let words = chunks
            .map(|chunk| {
                let mut word = [0; size_of::<u128>()];
                word[..chunk.len()].copy_from_slice(chunk);
                u128::from_ne_bytes(word)
            })
            .collect();
        Self {
            words,
            len: bytes.len(),
        }
    }

    fn as_slice(&self) -> &[u8] {
        // SAFETY: the words hold at least `len` bytes, all of them initialized.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.len) }
    }
}

impl Image {
    /// Bytes that are part of the program.
    pub fn from_static(name: impl Into<Cow<'static, str>>, bytes: &'static [u8]) -> Self {
        Self {
            name: name.into(),
            bytes: Bytes::Static(bytes),
            range: 0..bytes.len(),
        }
    }

    /// A copy of `bytes`.
    pub fn from_bytes(name: impl Into<Cow<'static, str>>, bytes: &[u8]) -> Self {
        let copy = Arc::new(AlignedBytes::copy_of(bytes));
        Self {
            name: name.into(),
            bytes: Bytes::Owned(copy),
            range: 0..bytes.len(),
        }
    }

    /// A file, mapped into memory. It must not be written while it is in use; replacing it by another file is fine.
    ///
    /// # Errors
    /// [`ModuleError::File`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, ModuleError> {
        let path = path.as_ref();
        let file_error = |source| ModuleError::File {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(file_error)?;
        // SAFETY: as with every mapped file, its bytes change under the program if somebody writes the file in place.
        // The reader checks every number it takes from the bytes before it uses it, and build tools replace files.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(file_error)?;
        let range = 0..map.len();
        Ok(Self {
            name: path.display().to_string().into(),
            bytes: Bytes::Mapped(Arc::new(map)),
            range,
        })
    }

    /// The file, or what the caller calls the bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn bytes(&self) -> &[u8] {
        let all = match &self.bytes {
            Bytes::Static(bytes) => bytes,
            Bytes::Owned(bytes) => bytes.as_slice(),
            Bytes::Mapped(map) => map,
        };
        all.get(self.range.clone()).unwrap_or_default()
    }

    fn error(&self, source: codeobject::Error) -> ModuleError {
        ModuleError::Image {
            image: self.name.to_string(),
            source,
        }
    }

    /// The code object for a device: the best of a bundle, or the image itself if it is one.
    fn code_object(&self, device: &TargetId) -> Result<Self, ModuleError> {
        const ELF: &[u8] = b"\x7fELF";
        if self.bytes().starts_with(ELF) {
            return Ok(self.clone());
        }
        let bundle = Bundle::parse(self.bytes()).map_err(|source| self.error(source))?;
        let entry = bundle.select(device).map_err(|source| self.error(source))?;
        let aligned = entry
            .data
            .as_ptr()
            .addr()
            .is_multiple_of(align_of::<u128>());
        if bundle.was_compressed() || !aligned {
            return Ok(Self::from_bytes(self.name.clone(), entry.data));
        }
        let start = self.range.start + entry.offset;
        Ok(Self {
            range: start..start + entry.data.len(),
            ..self.clone()
        })
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}, {} bytes)", self.name, self.range.len())
    }
}

/// A code object that is loaded on a device. Cloning makes another handle to the same module.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/bundles.rs"));
/// # fn main() -> Result<(), hip_loader::Error> {
/// # std::env::set_current_dir(bundle_file("quantized.hipfb").parent().expect("a folder")).expect("it is there");
/// # let device = hip_loader::Runtime::open(emulator())?.device(0)?;
/// use hip_loader::{Image, Module};
///
/// let module = Module::load(&device, &Image::open("quantized.hipfb")?)?;
/// let kernel = module.function("quantize_q8_1")?;
/// println!("{} takes {} arguments", kernel.name(), kernel.args().len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Module {
    inner: Arc<ModuleInner>,
}

pub(crate) struct ModuleInner {
    device: Device,
    raw: hipModule_t,
    /// The library may read it until the module is unloaded.
    image: Image,
    target: TargetId,
    kernels: Vec<LoadedKernel>,
    by_name: FxHashMap<String, usize>,
}

pub(crate) struct LoadedKernel {
    pub(crate) metadata: Kernel,
    pub(crate) facts: LaunchFacts,
    handle: OnceLock<Handle>,
}

#[derive(Clone, Copy)]
struct Handle(hipFunction_t);

// SAFETY: a module or function handle is the name of an object inside the library, whose functions may be called from
// any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}
// SAFETY: as above.
unsafe impl Send for ModuleInner {}
// SAFETY: as above.
unsafe impl Sync for ModuleInner {}

impl Module {
    /// Loads the code object for `device`: the best that a bundle has, or the image itself if it is a code object.
    ///
    /// # Errors
    /// [`ModuleError::Image`] for bytes that cannot be read and for a bundle without a code object for the device, whose
    /// message lists what the bundle has; [`ModuleError::WrongTarget`] for a code object of another architecture; or what
    /// the library answers.
    pub fn load(device: &Device, image: &Image) -> Result<Self, Error> {
        let image = image.code_object(device.target())?;
        let object = CodeObject::parse(image.bytes()).map_err(|source| image.error(source))?;
        if !object.target().supports(device.target()) {
            return Err(ModuleError::WrongTarget {
                image: image.name.to_string(),
                found: object.target().clone(),
                device: device.target().clone(),
            }
            .into());
        }
        let target = object.target().clone();
        let kernels: Vec<_> = object
            .kernels()
            .iter()
            .map(|kernel| LoadedKernel {
                facts: LaunchFacts::of(kernel),
                metadata: kernel.clone(),
                handle: OnceLock::new(),
            })
            .collect();
        let by_name = kernels
            .iter()
            .enumerate()
            .map(|(index, kernel)| (kernel.metadata.name.clone(), index))
            .collect();
        let _current = device.enter()?;
        // SAFETY: the bytes are a whole code object, and the module keeps them until it is unloaded.
        let raw =
            unsafe { result::module::load_data(device.api(), image.bytes().as_ptr().cast()) }?;
        let device = device.clone();
        Ok(Self {
            inner: Arc::new(ModuleInner {
                device,
                raw,
                image,
                target,
                kernels,
                by_name,
            }),
        })
    }

    /// The device that the module is loaded on.
    #[inline]
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// What the code object was built for; a generic target such as `gfx11-generic` where the bundle had nothing better.
    pub fn target(&self) -> &TargetId {
        &self.inner.target
    }

    /// What the image is called in messages.
    pub fn name(&self) -> &str {
        self.inner.image.name()
    }

    /// The bytes of the code object that was loaded.
    pub fn code_object(&self) -> &[u8] {
        self.inner.image.bytes()
    }

    /// The kernels, as the code object lists them.
    pub fn kernels(&self) -> impl ExactSizeIterator<Item = &Kernel> {
        self.inner.kernels.iter().map(|kernel| &kernel.metadata)
    }

    /// Whether there is a kernel of this name.
    pub fn has_function(&self, name: &str) -> bool {
        self.inner.by_name.contains_key(name)
    }

    /// The kernel of this name. The library is asked the first time only.
    ///
    /// # Errors
    /// [`ModuleError::UnknownKernel`] with the names that are like it, or what the library answers.
    pub fn function(&self, name: &str) -> Result<Function, Error> {
        let Some(&index) = self.inner.by_name.get(name) else {
            return Err(ModuleError::UnknownKernel {
                image: self.name().to_owned(),
                name: name.to_owned(),
                nearest: nearest(name, self.kernels().map(|kernel| kernel.name.as_str())),
            }
            .into());
        };
        let kernel = &self.inner.kernels[index];
        let Handle(raw) = match kernel.handle.get() {
            Some(&handle) => handle,
            None => {
                let name = c_name(name)?;
                let _current = self.device().enter()?;
                // SAFETY: the module is alive.
                let raw = unsafe {
                    result::module::get_function(self.device().api(), self.inner.raw, &name)
                }?;
                *kernel.handle.get_or_init(|| Handle(raw))
            }
        };
        Ok(Function::new(Arc::clone(&self.inner), index, raw))
    }

    /// The address and the size in bytes of a device variable (`__device__`, `__constant__`).
    ///
    /// # Errors
    /// What the library answers, `hipErrorNotFound` for a name that is not there.
    pub fn global(&self, name: &str) -> Result<(DevicePtr, usize), Error> {
        let name = c_name(name)?;
        let _current = self.device().enter()?;
        // SAFETY: the module is alive.
        let (address, bytes) =
            unsafe { result::module::get_global(self.device().api(), self.inner.raw, &name) }?;
        Ok((address.into(), bytes))
    }

    /// The handle, for calls that this crate does not wrap.
    #[inline]
    pub fn raw(&self) -> hipModule_t {
        self.inner.raw
    }
}

fn c_name(name: &str) -> Result<CString, ModuleError> {
    CString::new(name).map_err(|_| ModuleError::Name {
        name: name.to_owned(),
    })
}

impl ModuleInner {
    #[inline]
    pub(crate) fn kernel(&self, index: usize) -> &LoadedKernel {
        &self.kernels[index]
    }

    #[inline]
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for ModuleInner {
    fn drop(&mut self) {
        // Work that uses the kernels may still run, and only the device as a whole knows.
        let _ = self.device.synchronize();
        self.device.dispose(Resource::Module(self.raw));
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("name", &self.name())
            .field("target", &self.inner.target.to_string())
            .field("kernels", &self.inner.kernels.len())
            .finish_non_exhaustive()
    }
}

/// At most three of `names` that are like `name`, the most similar first.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let limit = name.len() / 3 + 1;
    let mut near: Vec<_> = names
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.into_iter()
        .take(3)
        .map(|(_, candidate)| candidate.to_owned())
        .collect()
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("mul_mat_q4_k", "mul_mat_q4_K", 1),
            ("flaw", "lawn", 2),
        ] {
            assert_eq!(distance(a, b), expected);
            assert_eq!(distance(b, a), expected);
        }
    }

    #[test]
    fn the_nearest_names_come_first_and_far_ones_not_at_all() {
        let names = [
            "mul_mat_q4_0",
            "mul_mat_q4_1",
            "mul_mat_q4_K",
            "quantize_q8_1",
        ];
        assert_eq!(
            nearest("mul_mat_q4_k", names.into_iter())[0],
            "mul_mat_q4_0"
        );
        assert_eq!(
            nearest("quantise_q8_1", names.into_iter()),
            ["quantize_q8_1"]
        );
        assert!(nearest("softmax", names.into_iter()).is_empty());
    }

    #[test]
    fn copied_bytes_are_aligned_and_as_long() {
        for len in [0, 1, 15, 16, 17, 100] {
            let bytes: Vec<u8> = (0..len).collect();
            let copy = AlignedBytes::copy_of(&bytes);
            assert_eq!(copy.as_slice(), bytes);
            assert_eq!(copy.as_slice().as_ptr().addr() % 16, 0);
        }
    }
}
