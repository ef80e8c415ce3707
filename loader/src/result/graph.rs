//! `hipGraph*` and stream capture.

use std::ptr::null_mut;

use super::{HipError, call, optional, out};
use crate::sys::{Api, hipGraph_t, hipGraphExec_t, hipStream_t, hipStreamCaptureMode};

/// Starts recording the work of `stream` instead of running it.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `stream` is a stream of this library, and not the null stream.
pub unsafe fn begin_capture(
    api: &Api,
    stream: hipStream_t,
    mode: hipStreamCaptureMode,
) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipStreamBeginCapture(stream, mode)) }
}

/// Ends the recording.
///
/// # Errors
/// What the library answers, and whatever broke the capture.
///
/// # Safety
/// `stream` is a stream of this library.
pub unsafe fn end_capture(api: &Api, stream: hipStream_t) -> Result<hipGraph_t, HipError> {
    let function = optional(api.hipStreamEndCapture, "hipStreamEndCapture")?;
    // SAFETY: on success the handle is written.
    unsafe { out(api, "hipStreamEndCapture", |graph| function(stream, graph)) }
}

/// Makes a graph ready to be launched.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `graph` is a graph of this library.
pub unsafe fn instantiate(api: &Api, graph: hipGraph_t) -> Result<hipGraphExec_t, HipError> {
    let function = optional(api.hipGraphInstantiate, "hipGraphInstantiate")?;
    // SAFETY: on success the handle is written. The error node and the log are not wanted.
    unsafe {
        out(api, "hipGraphInstantiate", |exec| {
            function(exec, graph, null_mut(), null_mut(), 0)
        })
    }
}

/// Launches a graph.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// Both are handles of this library, and everything that the graph's nodes point to is still there.
pub unsafe fn launch(api: &Api, exec: hipGraphExec_t, stream: hipStream_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipGraphLaunch(exec, stream)) }
}

/// The number of a graph's nodes.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `graph` is a graph of this library.
pub unsafe fn node_count(api: &Api, graph: hipGraph_t) -> Result<usize, HipError> {
    let function = optional(api.hipGraphGetNodes, "hipGraphGetNodes")?;
    // SAFETY: on success the number is written; without room for nodes nothing else is.
    unsafe {
        out(api, "hipGraphGetNodes", |count| {
            function(graph, null_mut(), count)
        })
    }
}

/// Destroys a graph.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `graph` is a graph of this library and is not used again.
pub unsafe fn destroy(api: &Api, graph: hipGraph_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipGraphDestroy(graph)) }
}

/// Destroys a graph that was made ready.
///
/// # Errors
/// What the library answers.
///
/// # Safety
/// `exec` is a graph of this library and is not used again.
pub unsafe fn exec_destroy(api: &Api, exec: hipGraphExec_t) -> Result<(), HipError> {
    // SAFETY: promised by the caller.
    unsafe { call!(api, opt hipGraphExecDestroy(exec)) }
}
