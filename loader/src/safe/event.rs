//! Markers in streams: order between streams, and time.

use std::fmt;
use std::time::Duration;

use super::reclaim::Resource;
use super::{Device, Error, Stream};
use crate::result;
use crate::sys::{self, hipEvent_t};

/// Whether an event records the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTiming {
    /// It does; [`Event::elapsed`] works.
    Enabled,
    /// It does not, which makes it cheaper.
    Disabled,
}

/// A marker that is put behind the work of a stream.
pub struct Event {
    device: Device,
    raw: hipEvent_t,
}

// SAFETY: the handle is the name of an object inside the library, whose functions may be called from any thread.
unsafe impl Send for Event {}
// SAFETY: as above; recording an event again while another thread waits for it is defined: the wait is for either.
unsafe impl Sync for Event {}

impl Event {
    /// Makes an event that has not been recorded, which counts as reached.
    ///
    /// # Errors
    /// What the library answers.
    pub fn new(device: &Device, timing: EventTiming) -> Result<Self, Error> {
        let flags = match timing {
            EventTiming::Enabled => sys::hipEventDefault,
            EventTiming::Disabled => sys::hipEventDisableTiming,
        };
        let _current = device.enter()?;
        let raw = result::event::create_with_flags(device.api(), flags)?;
        Ok(Self {
            device: device.clone(),
            raw,
        })
    }

    /// Puts the event behind the work that `stream` has now.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`] for a stream of another device, or what the library answers.
    pub fn record(&self, stream: &Stream) -> Result<(), Error> {
        if stream.device().raw_ordinal() != self.device.raw_ordinal() {
            return Err(Error::mismatch("an event", &self.device, stream.device()));
        }
        let _current = stream.enter_if_null()?;
        // SAFETY: both handles are alive, and on one device.
        unsafe { result::event::record(self.device.api(), self.raw, stream.raw()) }?;
        Ok(())
    }

    /// Waits until the event is reached.
    ///
    /// # Errors
    /// What the library answers, errors of the work before it included.
    pub fn synchronize(&self) -> Result<(), Error> {
        // SAFETY: the handle is alive.
        Ok(unsafe { result::event::synchronize(self.device.api(), self.raw) }?)
    }

    /// Whether the event has been reached.
    ///
    /// # Errors
    /// What the library answers, errors of the work before it included.
    pub fn is_reached(&self) -> Result<bool, Error> {
        // SAFETY: the handle is alive.
        Ok(unsafe { result::event::query(self.device.api(), self.raw) }?)
    }

    /// The time from `earlier` to this event, with a resolution of about a microsecond.
    ///
    /// # Errors
    /// What the library answers: `hipErrorNotReady` before both are reached, `hipErrorInvalidHandle` without timing.
    pub fn elapsed(&self, earlier: &Event) -> Result<Duration, Error> {
        // SAFETY: both handles are alive.
        let ms = unsafe { result::event::elapsed_time(self.device.api(), earlier.raw, self.raw) }?;
        Ok(Duration::try_from_secs_f32(ms / 1e3).unwrap_or_default())
    }

    /// The handle, for calls that this crate does not wrap.
    #[inline]
    pub fn raw(&self) -> hipEvent_t {
        self.raw
    }

    /// The device that the event was made on.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.device.dispose(Resource::Event(self.raw));
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("device", &self.device.ordinal())
            .finish_non_exhaustive()
    }
}
