//! Launches, checked against what the code object says about the kernel.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use super::function::{LaunchFacts, SlotKind};
use super::memory::DeviceElement;
use super::{
    ArgProblem, DeviceBuffer, DevicePtr, DeviceSlice, DeviceSliceMut, Error, Function, LaunchError,
    Scope, SharedBuffer, Stream,
};
use crate::result;

/// The shape of a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaunchConfig {
    /// Blocks in each dimension.
    pub grid: [u32; 3],
    /// Work-items of a block in each dimension.
    pub block: [u32; 3],
    /// LDS beyond what the kernel declares, in bytes.
    pub shared_bytes: u32,
}

impl LaunchConfig {
    /// A grid of blocks without dynamic LDS.
    #[inline]
    pub const fn new(grid: [u32; 3], block: [u32; 3]) -> Self {
        Self {
            grid,
            block,
            shared_bytes: 0,
        }
    }

    /// As many blocks of `block` work-items as `elements` need, in one dimension.
    #[inline]
    pub const fn for_elements(elements: u32, block: u32) -> Self {
        Self::new([elements.div_ceil(block), 1, 1], [block, 1, 1])
    }
}

/// Arguments that lie on the stack; a kernel with more takes them from the heap.
const INLINE_ARGS: usize = 32;
/// Words of arguments that lie on the stack.
const INLINE_WORDS: usize = 32;

/// A launch that is being put together: [`Stream::launch`].
///
/// Each argument is checked when it is given, the shape when the kernel is launched. The first thing that does not fit
/// is what [`LaunchBuilder::run`] says.
#[must_use = "a launch does nothing until it is run"]
pub struct LaunchBuilder<'a> {
    function: &'a Function,
    scope: Scope<'a>,
    given: usize,
    problem: Option<(usize, ArgProblem)>,
    /// The arguments at their offsets of the kernarg segment.
    values: [MaybeUninit<u64>; INLINE_WORDS],
    /// The same for a kernel with more of them.
    spilled: Option<Box<[MaybeUninit<u64>]>>,
}

/// What a kernel can be given.
///
/// | argument | type |
/// |---|---|
/// | pointer | `&DeviceBuffer`, `&mut DeviceBuffer`, `&SharedBuffer`, [`DeviceSlice`], [`DeviceSliceMut`] by value or reference, [`DevicePtr`] |
/// | value | every [`DeviceElement`]: numbers, `half::f16`, arrays of them |
pub trait KernelArg<'a>: sealed::Sealed<'a> {}

mod sealed {
    use super::LaunchBuilder;

    pub trait Sealed<'a> {
        fn give(self, to: &mut LaunchBuilder<'a>);
    }
}

macro_rules! pointers {
    ($([$($generics:tt)*] $ty:ty),* $(,)?) => {$(
        impl<'a, $($generics)*> sealed::Sealed<'a> for $ty {
            #[inline]
            fn give(self, to: &mut LaunchBuilder<'a>) {
                to.give_slice(self.into());
            }
        }

        impl<'a, $($generics)*> KernelArg<'a> for $ty {}
    )*};
}

pointers! {
    [T: DeviceElement] &'a DeviceBuffer<T>,
    [T: DeviceElement] &'a SharedBuffer<T>,
    [T: DeviceElement] DeviceSlice<'a, T>,
    [T: DeviceElement] DeviceSliceMut<'a, T>,
}

impl<'a, T: DeviceElement> sealed::Sealed<'a> for &'a mut DeviceBuffer<T> {
    #[inline]
    fn give(self, to: &mut LaunchBuilder<'a>) {
        to.give_slice(self.as_slice());
    }
}

impl<'a, T: DeviceElement> KernelArg<'a> for &'a mut DeviceBuffer<T> {}

impl<'a, T: DeviceElement> sealed::Sealed<'a> for &'a DeviceSlice<'_, T> {
    #[inline]
    fn give(self, to: &mut LaunchBuilder<'a>) {
        to.give_slice(*self);
    }
}

impl<'a, T: DeviceElement> KernelArg<'a> for &'a DeviceSlice<'_, T> {}

impl<'a, T: DeviceElement> sealed::Sealed<'a> for &'a mut DeviceSliceMut<'_, T> {
    #[inline]
    fn give(self, to: &mut LaunchBuilder<'a>) {
        to.give_slice(self.as_slice());
    }
}

impl<'a, T: DeviceElement> KernelArg<'a> for &'a mut DeviceSliceMut<'_, T> {}

impl<'a> sealed::Sealed<'a> for DevicePtr {
    #[inline]
    fn give(self, to: &mut LaunchBuilder<'a>) {
        to.give_pointer(self);
    }
}

impl<'a> KernelArg<'a> for DevicePtr {}

impl<'a, T: DeviceElement> sealed::Sealed<'a> for T {
    #[inline]
    fn give(self, to: &mut LaunchBuilder<'a>) {
        to.give_value(self);
    }
}

impl<'a, T: DeviceElement> KernelArg<'a> for T {}

impl Stream {
    /// Starts to put a launch of `function` on this stream together.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulator.rs"));
    /// # fn main() -> Result<(), hip_loader::Error> {
    /// # use hip_loader::{Image, LaunchConfig, Module, Runtime};
    /// # let device = Runtime::open(emulator())?.device(0)?;
    /// # let module = Module::load(&device, &Image::open("tests/data/kernels.hipfb")?)?;
    /// let stream = device.new_stream()?;
    /// let saxpy = module.function("saxpy")?;
    /// let x = stream.clone_htod(&[1.0_f32; 1000])?;
    /// let mut y = stream.clone_htod(&[2.0_f32; 1000])?;
    /// let config = LaunchConfig::for_elements(1000, 256);
    /// // SAFETY: `saxpy` reads and writes as many elements as its last argument says.
    /// unsafe { stream.launch(&saxpy).arg(3.0_f32).arg(&x).arg(&mut y).arg(1000_i32).run(config) }?;
    /// assert_eq!(stream.clone_dtoh(&y)?, [5.0; 1000]);
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn launch<'a>(&'a self, function: &'a Function) -> LaunchBuilder<'a> {
        let facts = function.facts();
        let words = facts.explicit_bytes.div_ceil(size_of::<u64>());
        LaunchBuilder {
            function,
            scope: Scope::new(self),
            given: 0,
            problem: None,
            values: [MaybeUninit::uninit(); INLINE_WORDS],
            spilled: (words > INLINE_WORDS).then(|| Box::new_uninit_slice(words)),
        }
    }
}

impl<'a> LaunchBuilder<'a> {
    /// Gives the next argument.
    #[inline]
    pub fn arg(&mut self, arg: impl KernelArg<'a>) -> &mut Self {
        arg.give(self);
        self
    }

    #[inline]
    fn give_slice<T: DeviceElement>(&mut self, slice: DeviceSlice<'a, T>) {
        let (owner, device) = (slice.owner(), self.scope.stream().device());
        self.scope.orders(owner);
        if !device.reaches(owner.device) {
            let (of, on) = (owner.device.ordinal(), device.ordinal());
            self.complain(ArgProblem::DeviceMismatch { of, on });
        }
        self.give_pointer(slice.ptr());
    }

    #[inline]
    fn give_pointer(&mut self, ptr: DevicePtr) {
        if let Some(slot) = self.function.facts().slots.get(self.given) {
            match slot.kind {
                SlotKind::Pointer if slot.size as usize == size_of::<u64>() => {
                    self.put(slot.offset as usize, ptr.0);
                }
                SlotKind::Value => {
                    self.complain(ArgProblem::ValueExpected {
                        expected: slot.size as usize,
                    });
                }
                _ => self.complain(ArgProblem::NotPossible),
            }
        }
        self.given += 1;
    }

    #[inline]
    fn give_value<T: DeviceElement>(&mut self, value: T) {
        if let Some(slot) = self.function.facts().slots.get(self.given) {
            let (expected, given) = (slot.size as usize, size_of::<T>());
            match slot.kind {
                SlotKind::Value if expected == given => self.put(slot.offset as usize, value),
                SlotKind::Value => self.complain(ArgProblem::Size { expected, given }),
                SlotKind::Pointer => self.complain(ArgProblem::PointerExpected),
                SlotKind::Other => self.complain(ArgProblem::NotPossible),
            }
        }
        self.given += 1;
    }

    #[cold]
    fn complain(&mut self, problem: ArgProblem) {
        self.problem.get_or_insert((self.given, problem));
    }

    /// The first of the words that hold the arguments.
    #[inline]
    fn base(&mut self) -> *mut u8 {
        match &mut self.spilled {
            Some(words) => words.as_mut_ptr().cast(),
            None => self.values.as_mut_ptr().cast(),
        }
    }

    /// Writes an argument of the slot at `offset`, whose size is that of `T`.
    #[inline]
    fn put<T: DeviceElement>(&mut self, offset: usize, value: T) {
        // SAFETY: the words reach to the end of the last slot: `launch` made as many. An offset need not be aligned for
        // `T` on the host.
        unsafe { self.base().add(offset).cast::<T>().write_unaligned(value) };
    }

    /// Launches the kernel.
    ///
    /// The launch is ordered with every other use of the buffers that were given. A [`DevicePtr`] is not: its order is
    /// the caller's business.
    ///
    /// # Errors
    /// [`Error::Launch`] for arguments or a shape that do not fit the kernel or the device, [`Error::DeviceMismatch`] for
    /// a stream of another device, or what the library answers. Errors of the kernel itself come out of later calls.
    ///
    /// # Safety
    /// With these arguments and this shape the kernel reads and writes inside of the buffers it was given, writes only
    /// those that were given as `&mut` or that nothing else uses meanwhile, and ends.
    #[inline]
    pub unsafe fn run(&mut self, config: LaunchConfig) -> Result<(), Error> {
        let function = self.function;
        let facts = function.facts();
        if let Err(problem) = self.check(facts, &config) {
            return Err(launch_error(function, problem));
        }
        let device = self.scope.stream().device();
        if function.device().raw_ordinal() != device.raw_ordinal() {
            return Err(Error::mismatch("a kernel", function.device(), device));
        }
        let base = self.base();
        if facts.slots.len() <= INLINE_ARGS {
            let mut params = [std::ptr::null_mut(); INLINE_ARGS];
            point(&mut params, base, facts);
            // SAFETY: promised by the caller; there is one pointer for each argument.
            unsafe { self.enqueue(config, &mut params) }
        } else {
            let mut params = vec![std::ptr::null_mut(); facts.slots.len()];
            point(&mut params, base, facts);
            // SAFETY: as above.
            unsafe { self.enqueue(config, &mut params) }
        }
    }

    #[inline]
    fn check(&self, facts: &LaunchFacts, config: &LaunchConfig) -> Result<(), LaunchError> {
        if self.given != facts.slots.len() {
            return Err(LaunchError::ArgCount {
                expected: facts.slots.len(),
                given: self.given,
            });
        }
        if let Some((index, problem)) = self.problem {
            let name = self.function.metadata().explicit_args().nth(index);
            let name = name.and_then(|arg| arg.name.clone());
            return Err(LaunchError::Arg {
                index,
                name,
                problem,
            });
        }
        check_shape(facts, self.function.device().limits(), config)
    }

    /// # Safety
    /// As for [`LaunchBuilder::run`]; `params` has a pointer to a value for each argument.
    #[inline]
    unsafe fn enqueue(
        &self,
        config: LaunchConfig,
        params: &mut [*mut c_void],
    ) -> Result<(), Error> {
        let api = self.function.device().api();
        let LaunchConfig {
            grid,
            block,
            shared_bytes,
        } = config;
        // SAFETY: promised by the caller.
        self.scope.run(|stream| unsafe {
            let function = self.function.raw();
            result::launch::kernel(
                api,
                function,
                grid,
                block,
                shared_bytes,
                stream,
                params.as_mut_ptr(),
            )
        })
    }
}

/// Lets each parameter point to its value.
#[inline]
fn point(params: &mut [*mut c_void], base: *mut u8, facts: &LaunchFacts) {
    for (param, slot) in params.iter_mut().zip(&facts.slots) {
        // SAFETY: slots lie inside of the words behind `base`.
        *param = unsafe { base.add(slot.offset as usize) }.cast();
    }
}

#[inline]
pub(crate) fn check_shape(
    facts: &LaunchFacts,
    limits: &super::Limits,
    config: &LaunchConfig,
) -> Result<(), LaunchError> {
    let LaunchConfig {
        grid,
        block,
        shared_bytes,
    } = *config;
    // The dispatch packet counts work-items of a dimension in 32 bits.
    let countable = |(&grid, &block): (&u32, &u32)| {
        grid != 0 && block != 0 && u64::from(grid) * u64::from(block) <= u64::from(u32::MAX)
    };
    if !grid.iter().zip(&block).all(countable) {
        return Err(LaunchError::Grid { grid, block });
    }
    let volume = block
        .iter()
        .fold(1, |volume: u64, &size| volume.saturating_mul(size.into()));
    if volume > u64::from(facts.max_block) {
        return Err(LaunchError::BlockTooLarge {
            block,
            limit: facts.max_block,
        });
    }
    if let Some(required) = facts.required_block
        && required != block
    {
        return Err(LaunchError::BlockNotRequired { block, required });
    }
    let above =
        |size: [u32; 3], most: [u32; 3]| size.iter().zip(&most).any(|(size, most)| size > most);
    if volume > u64::from(limits.max_block) || above(block, limits.max_block_dim) {
        let (limit, dims) = (limits.max_block, limits.max_block_dim);
        return Err(LaunchError::BlockNotPossible { block, limit, dims });
    }
    if above(grid, limits.max_grid_dim) {
        return Err(LaunchError::GridTooLarge {
            grid,
            dims: limits.max_grid_dim,
        });
    }
    let fixed = facts.fixed_shared;
    if u64::from(shared_bytes) + u64::from(fixed) > u64::from(limits.max_shared_bytes) {
        let limit = limits.max_shared_bytes;
        return Err(LaunchError::SharedMemory {
            dynamic: shared_bytes,
            fixed,
            limit,
        });
    }
    Ok(())
}

#[cold]
fn launch_error(function: &Function, problem: LaunchError) -> Error {
    Error::Launch {
        kernel: function.name().to_owned(),
        problem,
    }
}
