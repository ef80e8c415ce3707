//! Recorded work: capture a stream's work once, launch it many times.

use std::fmt;

use super::reclaim::Resource;
use super::{Device, Error, Stream};
use crate::result;
use crate::sys::{self, hipGraph_t, hipGraphExec_t};

/// Which calls break a capture, because they would not be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum CaptureMode {
    /// Such calls of every thread.
    Global,
    /// Such calls of the capturing thread.
    #[default]
    ThreadLocal,
    /// None: the caller knows what it does.
    Relaxed,
}

/// Work that was recorded.
pub struct Graph {
    device: Device,
    raw: hipGraph_t,
}

/// A graph that can be launched.
pub struct GraphExec {
    device: Device,
    raw: hipGraphExec_t,
}

// SAFETY: the handle is the name of an object inside the library. HIP lets one thread at a time use a graph, which is why
// graphs are not `Sync`.
unsafe impl Send for Graph {}
// SAFETY: as above.
unsafe impl Send for GraphExec {}

impl Stream {
    /// Records what `enqueue` puts on the stream instead of running it.
    ///
    /// Buffers have to be made before: a replay uses the memory that was given to the launches. A buffer that is at home
    /// on another stream cannot be used, because its home would have to be recorded too.
    ///
    /// # Errors
    /// The error of `enqueue`, or what the library answers. The stream can be used again in both cases.
    pub fn capture(
        &self,
        mode: CaptureMode,
        enqueue: impl FnOnce(&Stream) -> Result<(), Error>,
    ) -> Result<Graph, Error> {
        /// Lets the stream allocate again, even if `enqueue` panics.
        struct Ended<'a>(&'a Stream);

        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                self.0.set_capturing(false);
            }
        }

        let api = self.device().api();
        let mode = match mode {
            CaptureMode::Global => sys::hipStreamCaptureModeGlobal,
            CaptureMode::ThreadLocal => sys::hipStreamCaptureModeThreadLocal,
            CaptureMode::Relaxed => sys::hipStreamCaptureModeRelaxed,
        };
        // SAFETY: the stream is alive. The library refuses the null stream.
        unsafe { result::graph::begin_capture(api, self.raw(), mode) }?;
        let ended = Ended(self);
        self.set_capturing(true);
        let enqueued = enqueue(self);
        // SAFETY: as above.
        let raw = unsafe { result::graph::end_capture(api, self.raw()) };
        drop(ended);
        let graph = raw.map(|raw| Graph {
            device: self.device().clone(),
            raw,
        });
        enqueued?;
        Ok(graph?)
    }
}

impl Graph {
    /// Makes the graph ready to be launched.
    ///
    /// # Errors
    /// What the library answers.
    pub fn instantiate(&self) -> Result<GraphExec, Error> {
        let _current = self.device.enter()?;
        // SAFETY: the handle is alive.
        let raw = unsafe { result::graph::instantiate(self.device.api(), self.raw) }?;
        Ok(GraphExec {
            device: self.device.clone(),
            raw,
        })
    }

    /// The number of recorded operations.
    ///
    /// # Errors
    /// What the library answers.
    pub fn node_count(&self) -> Result<usize, Error> {
        // SAFETY: the handle is alive.
        Ok(unsafe { result::graph::node_count(self.device.api(), self.raw) }?)
    }
}

impl GraphExec {
    /// Runs the recorded work on `stream`.
    ///
    /// # Errors
    /// [`Error::DeviceMismatch`], or what the library answers.
    ///
    /// # Safety
    /// Everything that the recorded work uses is still there: buffers, pinned memory and modules. What it reads and
    /// writes is ordered with other uses by the caller; on the stream of the capture it is.
    pub unsafe fn launch(&self, stream: &Stream) -> Result<(), Error> {
        if stream.device().raw_ordinal() != self.device.raw_ordinal() {
            return Err(Error::mismatch("a graph", &self.device, stream.device()));
        }
        let _current = stream.enter_if_null()?;
        // SAFETY: both handles are alive; the rest is promised by the caller.
        Ok(unsafe { result::graph::launch(self.device.api(), self.raw, stream.raw()) }?)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.device.dispose(Resource::Graph(self.raw));
    }
}

impl Drop for GraphExec {
    fn drop(&mut self) {
        // A launch may still run, and only the device as a whole knows.
        let _ = self.device.synchronize();
        self.device.dispose(Resource::GraphExec(self.raw));
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("device", &self.device.ordinal())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for GraphExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphExec")
            .field("device", &self.device.ordinal())
            .finish_non_exhaustive()
    }
}
