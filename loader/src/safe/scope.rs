//! The order of a piece of work with other uses of its operands.

use super::memory::{DeviceElement, DeviceSlice, DeviceSliceMut, Owner};
use super::{Device, Error, Stream};
use crate::sys::hipStream_t;

/// A piece of work on a stream, and the streams that its operands are at home on.
pub(crate) struct Scope<'a> {
    stream: &'a Stream,
    homes: Vec<&'a Stream>,
}

impl<'a> Scope<'a> {
    /// Work without operands so far. Nothing is allocated while all operands are at home on the stream.
    #[inline]
    pub(crate) fn new(stream: &'a Stream) -> Self {
        Self {
            stream,
            homes: Vec::new(),
        }
    }

    /// Work of kernels that are loaded on `device`.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`] for a stream of another device.
    pub(crate) fn of_kernels(stream: &'a Stream, device: &Device) -> Result<Self, Error> {
        if device.raw_ordinal() != stream.device().raw_ordinal() {
            return Err(Error::mismatch("a kernel", device, stream.device()));
        }
        Ok(Self::new(stream))
    }

    #[inline]
    pub(crate) fn stream(&self) -> &'a Stream {
        self.stream
    }

    /// The work reads `slice`.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`] for memory that the stream's device cannot reach.
    pub(crate) fn reads<T: DeviceElement>(
        &mut self,
        slice: &DeviceSlice<'a, T>,
    ) -> Result<(), Error> {
        self.reach(slice.owner())
    }

    /// The work writes `slice`.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`] for memory that the stream's device cannot reach.
    pub(crate) fn writes<T: DeviceElement>(
        &mut self,
        slice: &DeviceSliceMut<'a, T>,
    ) -> Result<(), Error> {
        self.reach(slice.owner())
    }

    fn reach(&mut self, owner: Owner<'a>) -> Result<(), Error> {
        if !self.stream.device().reaches(owner.device) {
            return Err(Error::mismatch(
                "memory",
                owner.device,
                self.stream.device(),
            ));
        }
        self.orders(owner);
        Ok(())
    }

    /// The work uses memory of `owner`, wherever that is.
    #[inline]
    pub(crate) fn orders(&mut self, owner: Owner<'a>) {
        if let Some(home) = owner.home
            && !home.is_same(self.stream)
            && !self.homes.iter().any(|known| known.is_same(home))
        {
            self.homes.push(home);
        }
    }

    /// Calls `enqueue` with the stream, behind earlier uses of the operands and ahead of later ones.
    ///
    /// # Errors
    /// What `enqueue` answers, or what the library answers to the order.
    #[inline]
    pub(crate) fn run<R, E>(
        &self,
        enqueue: impl FnOnce(hipStream_t) -> Result<R, E>,
    ) -> Result<R, Error>
    where
        Error: From<E>,
    {
        let stream = self.stream;
        for home in &self.homes {
            stream.join(home)?;
        }
        let answer = {
            let _current = stream.enter_if_null()?;
            enqueue(stream.raw())?
        };
        for home in &self.homes {
            if home.join(stream).is_err() {
                // The work is under way and its home does not know of it: the only order left is to wait for its end.
                stream.settle()?;
            }
        }
        Ok(answer)
    }
}
