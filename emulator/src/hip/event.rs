//! Events: moments in streams.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::call::hip_api;
use super::capture::CaptureMark;
use super::copy::own;
use super::ffi::{EventHandle, Out, StreamHandle};
use super::runtime::{self, get};
use super::status::{Code, Outcome};
use super::stream;
use super::work::Work;

/// `hipEventDisableTiming`.
const DISABLE_TIMING: u32 = 0x2;
/// `hipEventInterprocess`, which needs `hipEventDisableTiming`.
const INTERPROCESS: u32 = 0x4;
/// Every flag of the headers: blocking waits, no timing, between processes, and AMD's scopes of release.
const FLAGS: u32 = 0x1 | DISABLE_TIMING | INTERPROCESS | 0x2000_0000 | 0x4000_0000 | 0x8000_0000;
/// `hipEventRecordExternal`: the event is recorded by the graph, not by its capture.
const RECORD_EXTERNAL: u32 = 1;

/// An event.
pub struct Event {
    /// The flags it was made with.
    pub flags: u32,
    /// The device that was current when it was made.
    pub device: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When it was recorded last.
    recorded: Option<Instant>,
    /// Where it stands in a capture, if it was recorded last in one.
    mark: Option<CaptureMark>,
}

impl Event {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the present moment.
    pub fn happen(&self) {
        *self.state() = State {
            recorded: Some(Instant::now()),
            mark: None,
        };
    }

    /// Notes a place in a capture.
    pub fn mark(&self, mark: CaptureMark) {
        *self.state() = State {
            recorded: None,
            mark: Some(mark),
        };
    }

    /// Its place in a capture, if it was recorded last in one that goes on.
    pub fn captured(&self) -> Option<CaptureMark> {
        let state = self.state();
        state.mark.as_ref().filter(|mark| mark.is_active()).cloned()
    }

    /// Fails if it was recorded last in a capture.
    fn not_captured(&self) -> Outcome {
        match self.captured() {
            Some(_) => Err(Code::CapturedEvent.into()),
            None => Ok(()),
        }
    }
}

fn create(event: Out<EventHandle>, flags: u32) -> Outcome {
    event.check()?;
    if flags & !FLAGS != 0 || (flags & INTERPROCESS != 0 && flags & DISABLE_TIMING == 0) {
        return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
    }
    let device = runtime::usable()?.index();
    let new = Event {
        flags,
        device,
        state: Mutex::default(),
    };
    event.set(get().events.insert(Arc::new(new)))
}

fn record(event: EventHandle, stream: StreamHandle, flags: u32) -> Outcome {
    let event = get().events.get(event)?;
    let stream = stream::usable(stream)?;
    if event.device != stream.device {
        return Err(
            Code::InvalidHandle.because("the event was made on another device than the stream")
        );
    }
    match flags {
        0 => stream::record(&stream, &event),
        RECORD_EXTERNAL => stream.submit(Work::Record(event)),
        _ => Err(Code::InvalidValue.because(format!("flags {flags:#x}"))),
    }
}

hip_api! {
    fn hipEventCreate(event: Out<EventHandle>) {
        create(event, 0)
    }

    fn hipEventCreateWithFlags(event: Out<EventHandle>, flags: u32) {
        create(event, flags)
    }

    fn hipEventDestroy(event: EventHandle) {
        get().events.remove(event).map(drop)
    }

    fn hipEventRecord(event: EventHandle, stream: StreamHandle) {
        record(event, stream, 0)
    }

    fn hipEventRecord_spt(event: EventHandle, stream: StreamHandle) {
        record(event, own(stream), 0)
    }

    fn hipEventRecordWithFlags(event: EventHandle, stream: StreamHandle, flags: u32) {
        record(event, stream, flags)
    }

    fn hipEventQuery(event: EventHandle) {
        let event = get().events.get(event)?;
        event.not_captured()?;
        runtime::device(event.device as c_int)?.check()
    }

    fn hipEventSynchronize(event: EventHandle) {
        let event = get().events.get(event)?;
        event.not_captured()?;
        runtime::device(event.device as c_int)?.check()
    }

    fn hipEventElapsedTime(ms: Out<f32>, start: EventHandle, stop: EventHandle) {
        ms.check()?;
        let (start, stop) = (get().events.get(start)?, get().events.get(stop)?);
        start.not_captured()?;
        stop.not_captured()?;
        if start.device != stop.device {
            return Err(Code::InvalidHandle.because("the events belong to two devices"));
        }
        if (start.flags | stop.flags) & DISABLE_TIMING != 0 {
            return Err(Code::InvalidHandle.because("an event was made without timing"));
        }
        let (from, to) = (start.state().recorded, stop.state().recorded);
        let (Some(from), Some(to)) = (from, to) else {
            return Err(Code::InvalidHandle.because("an event was not recorded"));
        };
        // Negative where the stop came first.
        let elapsed = match to.checked_duration_since(from) {
            Some(after) => after.as_secs_f64(),
            None => -from.duration_since(to).as_secs_f64(),
        };
        ms.set((elapsed * 1e3) as f32)
    }
}
