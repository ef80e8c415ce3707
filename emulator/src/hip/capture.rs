//! Stream capture: work becomes the nodes of a graph instead of being executed.
//!
//! A capture begins on one stream, its origin. Other streams join it when they wait for an event that was recorded in it,
//! and have to be joined back into the origin before it ends. Every stream of a capture has a frontier: the nodes that
//! what it enqueues next depends on.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::ThreadId;

use super::call::hip_api;
use super::copy::own;
use super::event::Event;
use super::ffi::{GraphHandle, GraphNodeHandle, List, Out, StreamHandle};
use super::graph::{self, Graph, GraphNode};
use super::runtime::get;
use super::status::{Code, Outcome};
use super::stream::{self, Stream};
use super::work::Work;

/// What other calls are allowed while a capture goes on: `hipStreamCaptureMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No call of any thread that could disturb the capture.
    Global,
    /// No such call of the thread that began it.
    ThreadLocal,
    /// Every call.
    Relaxed,
}

impl Mode {
    fn from_c(mode: c_int) -> Outcome<Self> {
        match mode {
            0 => Ok(Self::Global),
            1 => Ok(Self::ThreadLocal),
            2 => Ok(Self::Relaxed),
            _ => Err(Code::InvalidValue.because(format!("capture mode {mode}"))),
        }
    }
}

/// `hipStreamCaptureStatusNone`, `Active` and `Invalidated`.
const STATUS: [c_int; 3] = [0, 1, 2];

/// A capture that goes on.
pub struct Capture {
    id: u64,
    graph: Arc<Graph>,
    mode: Mode,
    thread: ThreadId,
    /// Something was called that cannot be part of a graph.
    invalid: AtomicBool,
    ended: AtomicBool,
    streams: Mutex<Vec<Weak<Stream>>>,
}

/// The part that a stream has in a capture.
pub struct StreamCapture {
    capture: Arc<Capture>,
    is_origin: bool,
    frontier: Vec<Arc<GraphNode>>,
    /// Handles that were lent to the client by `hipStreamGetCaptureInfo_v2`.
    lent: Vec<GraphNodeHandle>,
}

/// An event's place in a capture.
#[derive(Clone)]
pub struct CaptureMark {
    capture: Arc<Capture>,
    nodes: Vec<Arc<GraphNode>>,
}

impl CaptureMark {
    /// Whether the capture goes on.
    pub fn is_active(&self) -> bool {
        !self.capture.ended.load(Ordering::Acquire)
    }
}

/// The captures that go on.
static ACTIVE: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());
/// Their number, so that calls need not take the lock when there are none.
static ACTIVE_COUNT: AtomicUsize = AtomicUsize::new(0);
static LAST_ID: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// `hipThreadExchangeStreamCaptureMode`.
    static THREAD_MODE: std::cell::Cell<Mode> = const { std::cell::Cell::new(Mode::Global) };
}

fn active() -> Vec<Arc<Capture>> {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 {
        return Vec::new();
    }
    ACTIVE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

fn change_active(change: impl FnOnce(&mut Vec<Arc<Capture>>)) {
    let mut active = ACTIVE.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut active);
    ACTIVE_COUNT.store(active.len(), Ordering::Release);
}

impl Capture {
    fn is_invalid(&self) -> bool {
        self.invalid.load(Ordering::Acquire)
    }

    fn invalidate(&self) {
        self.invalid.store(true, Ordering::Release);
    }

    fn streams(&self) -> Vec<Arc<Stream>> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().filter_map(Weak::upgrade).collect()
    }

    /// Takes all streams out of the capture.
    fn end(self: &Arc<Self>) {
        self.ended.store(true, Ordering::Release);
        for stream in self.streams() {
            stream
                .capture()
                .take_if(|part| Arc::ptr_eq(&part.capture, self));
        }
        change_active(|active| active.retain(|other| !Arc::ptr_eq(other, self)));
    }
}

/// Adds work to the graph that is captured on the stream, or gives it back if there is no capture.
///
/// # Errors
/// `hipErrorStreamCaptureInvalidated` if the capture was spoiled, `hipErrorStreamCaptureImplicit` if the legacy default
/// stream is used while a stream that waits for it is captured.
pub fn record(stream: &Arc<Stream>, work: Work) -> Outcome<Option<Work>> {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 {
        return Ok(Some(work));
    }
    if stream.is_legacy() {
        legacy_is_free(stream)?;
        return Ok(Some(work));
    }
    let mut part = stream.capture();
    let Some(part) = part.as_mut() else {
        return Ok(Some(work));
    };
    if part.capture.is_invalid() {
        return Err(Code::StreamCaptureInvalidated.into());
    }
    let node = part.capture.graph.add(work, part.frontier.clone());
    part.frontier = vec![node];
    Ok(None)
}

fn legacy_is_free(legacy: &Stream) -> Outcome {
    for capture in active() {
        let waits = |stream: &Arc<Stream>| stream.is_blocking() && stream.device == legacy.device;
        if capture.streams().iter().any(waits) {
            capture.invalidate();
            return Err(Code::StreamCaptureImplicit.into());
        }
    }
    Ok(())
}

/// Fails for a stream that is being captured, and spoils the capture.
pub fn forbid(stream: &Arc<Stream>) -> Outcome {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    if stream.is_legacy() {
        return legacy_is_free(stream);
    }
    match stream.capture().as_ref() {
        Some(part) => {
            part.capture.invalidate();
            Err(Code::StreamCaptureUnsupported.into())
        }
        None => Ok(()),
    }
}

/// Fails for a call that is not allowed while the captures go on that this thread has to respect, and spoils them.
///
/// # Errors
/// `hipErrorStreamCaptureUnsupported`.
pub fn check_unsafe_call() -> Outcome {
    let mode = THREAD_MODE.get();
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 || mode == Mode::Relaxed {
        return Ok(());
    }
    let this_thread = std::thread::current().id();
    let disturbed: Vec<_> = active()
        .into_iter()
        .filter(|capture| match capture.mode {
            Mode::Relaxed => false,
            Mode::ThreadLocal => capture.thread == this_thread,
            Mode::Global => capture.thread == this_thread || mode == Mode::Global,
        })
        .collect();
    if disturbed.is_empty() {
        return Ok(());
    }
    disturbed.iter().for_each(|capture| capture.invalidate());
    Err(Code::StreamCaptureUnsupported.into())
}

/// Notes where an event stands if its stream is being captured. Says whether it is.
pub fn record_event(stream: &Arc<Stream>, event: &Arc<Event>) -> Outcome<bool> {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 || stream.is_legacy() {
        return Ok(false);
    }
    let part = stream.capture();
    let Some(part) = part.as_ref() else {
        return Ok(false);
    };
    if part.capture.is_invalid() {
        return Err(Code::StreamCaptureInvalidated.into());
    }
    event.mark(CaptureMark {
        capture: Arc::clone(&part.capture),
        nodes: part.frontier.clone(),
    });
    Ok(true)
}

/// Makes a stream wait for an event, which may draw it into a capture. Outside of captures every event has happened.
///
/// # Errors
/// `hipErrorStreamCaptureIsolation` if a captured stream is to wait for what is not captured,
/// `hipErrorStreamCaptureMerge` for an event of another capture, and those of [`record`].
pub fn wait_event(stream: &Arc<Stream>, event: &Arc<Event>) -> Outcome {
    if ACTIVE_COUNT.load(Ordering::Acquire) == 0 {
        return Ok(());
    }
    let mark = event.captured();
    let mut part = stream.capture();
    match (mark, part.as_mut()) {
        (None, None) => Ok(()),
        (None, Some(part)) => {
            part.capture.invalidate();
            Err(Code::StreamCaptureIsolation.into())
        }
        (Some(mark), _) if stream.is_legacy() => {
            mark.capture.invalidate();
            Err(Code::StreamCaptureImplicit.into())
        }
        (Some(mark), Some(part)) if !Arc::ptr_eq(&mark.capture, &part.capture) => {
            mark.capture.invalidate();
            part.capture.invalidate();
            Err(Code::StreamCaptureMerge.into())
        }
        (Some(mark), Some(part)) => {
            for node in mark.nodes {
                if !part.frontier.iter().any(|known| Arc::ptr_eq(known, &node)) {
                    part.frontier.push(node);
                }
            }
            Ok(())
        }
        (Some(mark), None) => {
            let mut streams = mark
                .capture
                .streams
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            streams.push(Arc::downgrade(stream));
            drop(streams);
            *part = Some(StreamCapture {
                capture: mark.capture,
                is_origin: false,
                frontier: mark.nodes,
                lent: Vec::new(),
            });
            Ok(())
        }
    }
}

/// Spoils the capture of a stream that is destroyed.
pub fn abandon(stream: &Arc<Stream>) {
    let part = stream.capture().take();
    if let Some(part) = part {
        part.capture.invalidate();
        if part.is_origin {
            part.capture.end();
        }
    }
}

fn begin(
    stream: StreamHandle,
    mode: c_int,
    graph: Option<(Arc<Graph>, Vec<Arc<GraphNode>>)>,
) -> Outcome {
    let mode = Mode::from_c(mode)?;
    let stream = stream::usable(stream)?;
    if stream.is_legacy() {
        return Err(
            Code::StreamCaptureUnsupported.because("the legacy default stream cannot be captured")
        );
    }
    let mut part = stream.capture();
    if part.is_some() {
        return Err(Code::IllegalState.because("the stream is being captured already"));
    }
    let (graph, frontier) = graph.unwrap_or_else(|| (Graph::create(), Vec::new()));
    let capture = Arc::new(Capture {
        id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
        graph,
        mode,
        thread: std::thread::current().id(),
        invalid: AtomicBool::new(false),
        ended: AtomicBool::new(false),
        streams: Mutex::new(vec![Arc::downgrade(&stream)]),
    });
    *part = Some(StreamCapture {
        capture: Arc::clone(&capture),
        is_origin: true,
        frontier,
        lent: Vec::new(),
    });
    change_active(|active| active.push(capture));
    Ok(())
}

fn end(stream: StreamHandle) -> Outcome<Arc<Graph>> {
    let stream = stream::find(stream)?;
    let (capture, frontier) = {
        let part = stream.capture();
        let part = part
            .as_ref()
            .ok_or_else(|| Code::IllegalState.because("the stream is not being captured"))?;
        if !part.is_origin {
            part.capture.invalidate();
            return Err(Code::StreamCaptureUnmatched.into());
        }
        (Arc::clone(&part.capture), part.frontier.clone())
    };
    if capture.mode != Mode::Relaxed && capture.thread != std::thread::current().id() {
        capture.invalidate();
        return Err(Code::StreamCaptureWrongThread.into());
    }
    let reached = graph::ancestors(&frontier);
    let is_joined = |other: &Arc<Stream>| {
        let part = other.capture();
        let frontier = part.as_ref().map_or(&[][..], |part| &part.frontier);
        frontier.iter().all(|node| reached.contains(&node.handle.0))
    };
    let joined = capture.streams().iter().all(is_joined);
    capture.end();
    let graph = Arc::clone(&capture.graph);
    let refuse = |code: Code| {
        // A graph that the client made stays the client's.
        graph::discard_unless_handed_out(&graph);
        Err(code.into())
    };
    if capture.is_invalid() {
        return refuse(Code::StreamCaptureInvalidated);
    }
    if !joined {
        return refuse(Code::StreamCaptureUnjoined);
    }
    Ok(graph)
}

/// What `hipStreamGetCaptureInfo` and its relatives tell: status, id, graph, frontier.
fn info(stream: &Arc<Stream>) -> (c_int, u64, Option<Arc<Graph>>, Vec<Arc<GraphNode>>) {
    match stream.capture().as_ref() {
        None => (STATUS[0], 0, None, Vec::new()),
        Some(part) if part.capture.is_invalid() => (STATUS[2], 0, None, Vec::new()),
        Some(part) => {
            let graph = Some(Arc::clone(&part.capture.graph));
            (STATUS[1], part.capture.id, graph, part.frontier.clone())
        }
    }
}

fn end_into(stream: StreamHandle, place: Out<GraphHandle>) -> Outcome {
    place.check()?;
    match end(stream) {
        Ok(graph) => place.set(graph.hand_out()),
        Err(failure) => {
            place.set(GraphHandle::NULL)?;
            Err(failure)
        }
    }
}

fn get_info(stream: StreamHandle, status_place: Out<c_int>, id_place: Out<u64>) -> Outcome {
    status_place.check()?;
    let stream = stream::find(stream)?;
    let (status, id, ..) = info(&stream);
    id_place.set_if_wanted(id);
    status_place.set(status)
}

fn get_frontier(
    stream: StreamHandle,
    graph_place: Out<GraphHandle>,
    nodes_place: Out<*const GraphNodeHandle>,
    count_place: Out<usize>,
) -> Outcome {
    let stream = stream::find(stream)?;
    let (_, _, graph, frontier) = info(&stream);
    graph_place.set_if_wanted(graph.map_or(GraphHandle::NULL, |graph| graph.handle));
    count_place.set_if_wanted(frontier.len());
    if let Some(part) = stream.capture().as_mut() {
        // The client may read the list until it uses the stream again.
        part.lent = frontier.iter().map(|node| node.handle).collect();
        nodes_place.set_if_wanted(part.lent.as_ptr());
    }
    Ok(())
}

hip_api! {
    fn hipStreamBeginCapture(stream: StreamHandle, mode: c_int) {
        begin(stream, mode, None)
    }

    fn hipStreamBeginCapture_spt(stream: StreamHandle, mode: c_int) {
        begin(own(stream), mode, None)
    }

    fn hipStreamEndCapture_spt(stream: StreamHandle, pGraph: Out<GraphHandle>) {
        end_into(own(stream), pGraph)
    }

    fn hipStreamIsCapturing_spt(stream: StreamHandle, pCaptureStatus: Out<c_int>) {
        pCaptureStatus.check()?;
        let stream = stream::find(own(stream))?;
        pCaptureStatus.set(info(&stream).0)
    }

    fn hipStreamGetCaptureInfo_spt(stream: StreamHandle, pCaptureStatus: Out<c_int>, pId: Out<u64>) {
        get_info(own(stream), pCaptureStatus, pId)
    }

    fn hipStreamBeginCaptureToGraph(
        stream: StreamHandle,
        graphHandle: GraphHandle,
        dependencies: List<GraphNodeHandle>,
        dependencyData: *const std::ffi::c_void,
        numDependencies: usize,
        mode: c_int,
    ) {
        let _ = dependencyData;
        let graph = get().graphs.get(graphHandle)?;
        let frontier = graph.nodes_of(&dependencies.get(numDependencies)?)?;
        begin(stream, mode, Some((graph, frontier)))
    }

    fn hipStreamEndCapture(stream: StreamHandle, pGraph: Out<GraphHandle>) {
        end_into(stream, pGraph)
    }

    fn hipStreamIsCapturing(stream: StreamHandle, pCaptureStatus: Out<c_int>) {
        pCaptureStatus.check()?;
        let stream = stream::find(stream)?;
        pCaptureStatus.set(info(&stream).0)
    }

    fn hipStreamGetCaptureInfo(stream: StreamHandle, pCaptureStatus: Out<c_int>, pId: Out<u64>) {
        get_info(stream, pCaptureStatus, pId)
    }

    fn hipStreamGetCaptureInfo_v2(
        stream: StreamHandle,
        captureStatus_out: Out<c_int>,
        id_out: Out<u64>,
        graph_out: Out<GraphHandle>,
        dependencies_out: Out<*const GraphNodeHandle>,
        numDependencies_out: Out<usize>,
    ) {
        get_info(stream, captureStatus_out, id_out)?;
        get_frontier(stream, graph_out, dependencies_out, numDependencies_out)
    }

    fn hipStreamGetCaptureInfo_v2_spt(
        stream: StreamHandle,
        captureStatus_out: Out<c_int>,
        id_out: Out<u64>,
        graph_out: Out<GraphHandle>,
        dependencies_out: Out<*const GraphNodeHandle>,
        numDependencies_out: Out<usize>,
    ) {
        get_info(own(stream), captureStatus_out, id_out)?;
        get_frontier(own(stream), graph_out, dependencies_out, numDependencies_out)
    }

    fn hipStreamUpdateCaptureDependencies(
        stream: StreamHandle,
        dependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        flags: u32,
    ) {
        let stream = stream::find(stream)?;
        let mut part = stream.capture();
        let part = part.as_mut().ok_or_else(|| Code::IllegalState.because("the stream is not being captured"))?;
        let nodes = part.capture.graph.nodes_of(&dependencies.get(numDependencies)?)?;
        // `hipStreamAddCaptureDependencies` and `hipStreamSetCaptureDependencies`.
        match flags {
            0 => part.frontier.extend(nodes),
            1 => part.frontier = nodes,
            _ => return Err(Code::InvalidValue.because(format!("flags {flags:#x}"))),
        }
        Ok(())
    }

    fn hipThreadExchangeStreamCaptureMode(mode: Out<c_int>) {
        let wanted = Mode::from_c(mode.get()?)?;
        get();
        mode.set(THREAD_MODE.replace(wanted) as c_int)
    }
}
