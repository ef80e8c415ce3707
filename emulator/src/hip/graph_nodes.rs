//! The nodes of graphs: adding them, and reading and changing what they do.

use std::ffi::{c_int, c_void};
use std::sync::Arc;

use super::call::hip_api;
use super::copy::{from_3d, from_driver_3d};
use super::ffi::{
    ContextHandle, EventHandle, GraphExecHandle, GraphHandle, GraphNodeHandle, In, List, Out,
};
use super::graph::GraphNode;
use super::kernel::{Arguments, KernelLaunch};
use super::runtime::{device, get};
use super::status::{Code, Outcome};
use super::symbol;
use super::transfer::{Copy, Fill, Place, Size};
use super::types::{
    HIP_MEMCPY3D, HIP_MEMSET_NODE_PARAMS, dim3, hipExtent, hipHostNodeParams, hipKernelNodeParams,
    hipMemAllocNodeParams, hipMemcpy3DParms, hipMemsetParams, hipPitchedPtr, hipPos,
};
use super::work::{GraphMemory, HostCall, Work};
use super::{launch, runtime};
use crate::memory::AllocKind;

/// Adds a node with work to a graph.
fn add(
    place: Out<GraphNodeHandle>,
    graph: GraphHandle,
    dependencies: List<GraphNodeHandle>,
    count: usize,
    work: impl FnOnce() -> Outcome<Work>,
) -> Outcome {
    place.check()?;
    let graph = get().graphs.get(graph)?;
    let dependencies = graph.nodes_of(&dependencies.get(count)?)?;
    let node = graph.add(work()?, dependencies);
    place.set(node.handle)
}

fn find(node: GraphNodeHandle) -> Outcome<Arc<GraphNode>> {
    get().graph_nodes.get(node)
}

/// Gives a node other work of the same kind.
fn replace(node: GraphNodeHandle, work: Work) -> Outcome {
    let node = find(node)?;
    let mut state = node.state();
    if state.work.node_type() != work.node_type() {
        return Err(wrong_kind());
    }
    state.work = work;
    state.lent.clear();
    Ok(())
}

fn wrong_kind() -> super::status::Failure {
    Code::InvalidValue.because("the node is of another kind")
}

fn replace_in(exec: GraphExecHandle, node: GraphNodeHandle, work: Work) -> Outcome {
    get().graph_execs.get(exec)?.replace(node, work)
}

fn kernel(params: In<hipKernelNodeParams>) -> Outcome<Work> {
    let p = params.get()?;
    let stream = &runtime::usable()?.default_stream;
    let arguments = Arguments {
        params: p.kernelParams,
        extra: p.extra,
    };
    let launch = launch::registered(
        p.func,
        stream,
        p.gridDim,
        p.blockDim,
        p.sharedMemBytes as usize,
        arguments,
    )?;
    Ok(Work::Kernel(Box::new(launch)))
}

fn checked(copy: Copy) -> Outcome<Work> {
    copy.validate()?;
    Ok(Work::Copy(copy))
}

fn copy_1d(dst: *mut c_void, src: *const c_void, count: usize, kind: c_int) -> Outcome<Work> {
    checked(Copy::linear(dst as u64, src as u64, count as u64, kind))
}

fn copy_to_symbol(
    symbol: *const c_void,
    src: *const c_void,
    count: usize,
    offset: usize,
    kind: c_int,
) -> Outcome<Work> {
    copy_1d(
        symbol::range(symbol, count, offset)? as *mut c_void,
        src,
        count,
        kind,
    )
}

fn copy_from_symbol(
    dst: *mut c_void,
    symbol: *const c_void,
    count: usize,
    offset: usize,
    kind: c_int,
) -> Outcome<Work> {
    copy_1d(
        dst,
        symbol::range(symbol, count, offset)? as *const c_void,
        count,
        kind,
    )
}

fn fill(p: &hipMemsetParams) -> Outcome<Work> {
    let fill = Fill {
        dst: Place {
            address: p.dst as u64,
            pitch: p.pitch as u64,
            slice: 0,
        },
        size: Size {
            width: (p.width as u64).saturating_mul(u64::from(p.elementSize)),
            height: p.height as u64,
            depth: 1,
        },
        value: p.value,
        value_size: u64::from(p.elementSize),
    };
    if fill.size.is_empty() {
        return Err(Code::InvalidValue.because("there is nothing to fill"));
    }
    fill.validate()?;
    Ok(Work::Fill(fill))
}

fn driver_fill(params: In<HIP_MEMSET_NODE_PARAMS>) -> Outcome<Work> {
    let HIP_MEMSET_NODE_PARAMS {
        dst,
        pitch,
        value,
        elementSize,
        width,
        height,
    } = params.get()?;
    fill(&hipMemsetParams {
        dst,
        elementSize,
        height,
        pitch,
        value,
        width,
    })
}

fn host(p: &hipHostNodeParams) -> Outcome<Work> {
    let function = p
        .fn_
        .ok_or_else(|| Code::InvalidValue.because("the function is null"))?;
    Ok(Work::Host(HostCall::Function(
        function,
        p.userData as usize,
    )))
}

fn record(event: EventHandle) -> Outcome<Work> {
    Ok(Work::Record(get().events.get(event)?))
}

fn wait(event: EventHandle) -> Outcome<Work> {
    Ok(Work::Wait(get().events.get(event)?))
}

fn place_to_c(place: Place, size: Size) -> (hipPitchedPtr, hipPos) {
    let pitch = if place.pitch == 0 {
        size.width
    } else {
        place.pitch
    };
    let rows = if place.slice == 0 {
        size.height
    } else {
        place.slice / pitch.max(1)
    };
    let pointer = hipPitchedPtr {
        ptr: place.address as *mut c_void,
        pitch: pitch as usize,
        xsize: size.width as usize,
        ysize: rows as usize,
    };
    (pointer, hipPos { x: 0, y: 0, z: 0 })
}

/// The parameters of a copy in HIP's form.
fn copy_to_c(copy: &Copy) -> hipMemcpy3DParms {
    let mut p = hipMemcpy3DParms::zeroed();
    (p.srcPtr, p.srcPos) = place_to_c(copy.src, copy.size);
    (p.dstPtr, p.dstPos) = place_to_c(copy.dst, copy.size);
    p.extent = hipExtent {
        width: copy.size.width as usize,
        height: copy.size.height as usize,
        depth: copy.size.depth as usize,
    };
    p.kind = copy.kind;
    p
}

/// The parameters of a copy in the driver's form.
fn copy_to_driver(copy: &Copy) -> HIP_MEMCPY3D {
    let mut p = HIP_MEMCPY3D::zeroed();
    let (src, dst) = (
        place_to_c(copy.src, copy.size).0,
        place_to_c(copy.dst, copy.size).0,
    );
    let unified = get().version.memory_type(Some(AllocKind::Device));
    (p.srcMemoryType, p.srcDevice, p.srcPitch, p.srcHeight) =
        (unified, src.ptr, src.pitch, src.ysize);
    (p.dstMemoryType, p.dstDevice, p.dstPitch, p.dstHeight) =
        (unified, dst.ptr, dst.pitch, dst.ysize);
    p.WidthInBytes = copy.size.width as usize;
    p.Height = copy.size.height as usize;
    p.Depth = copy.size.depth as usize;
    p
}

/// The parameters of a kernel in HIP's form. The arguments stay in the node as long as they are not changed.
fn kernel_to_c(launch: &KernelLaunch, lent: &mut Vec<usize>) -> hipKernelNodeParams {
    let mut p = hipKernelNodeParams::zeroed();
    let [x, y, z] = launch.block;
    p.blockDim = dim3 { x, y, z };
    let [x, y, z] = [0, 1, 2].map(|d| launch.grid[d].div_ceil(launch.block[d]));
    p.gridDim = dim3 { x, y, z };
    p.func = launch.name as *mut c_void;
    p.sharedMemBytes = launch.dynamic_lds;
    let start = launch.kernarg.as_ptr() as usize;
    *lent = launch
        .function
        .kernel()
        .explicit_args()
        .map(|arg| start + arg.offset as usize)
        .collect();
    p.kernelParams = lent.as_mut_ptr().cast();
    p
}

/// `hipKernelNodeAttributeCooperative`, the attribute that a kernel can have here.
const COOPERATIVE: c_int = 2;
/// `hipKernelNodeAttributeAccessPolicyWindow` and `hipLaunchAttributePriority`, which change nothing here.
const WITHOUT_EFFECT: [c_int; 2] = [1, 8];

fn as_event(work: &Work, recorded: bool) -> Outcome<EventHandle> {
    let event = match work {
        Work::Record(event) if recorded => event,
        Work::Wait(event) if !recorded => event,
        _ => return Err(wrong_kind()),
    };
    get().events.handle_of(event)
}

/// The work that a `hipGraphNodeParams` of HIP 6 describes: a type, and behind 16 bytes the parameters of that type.
fn from_any(params: *const c_void) -> Outcome<Work> {
    /// `hipMemcpyNodeParams` has its flags before the parameters of the copy.
    const COPY_OFFSET: usize = 16;
    let kind = In::<c_int>::at(params.cast()).get()?;
    let inner = params.wrapping_byte_add(16);
    match kind {
        0 => kernel(In::at(inner.cast())),
        1 => checked(from_3d(
            &In::at(inner.wrapping_byte_add(COPY_OFFSET).cast()).get()?,
        )?),
        2 => fill(&In::at(inner.cast()).get()?),
        3 => host(&In::at(inner.cast()).get()?),
        4 => child(In::at(inner.cast()).get()?),
        5 => Ok(Work::Empty),
        6 => wait(In::at(inner.cast()).get()?),
        7 => record(In::at(inner.cast()).get()?),
        11 => free(In::<*mut c_void>::at(inner.cast()).get()?),
        8 | 9 | 10 | 12 | 13 | 14 => {
            Err(Code::NotSupported.because(format!("nodes of type {kind}")))
        }
        _ => Err(Code::InvalidValue.because(format!("nodes of type {kind}"))),
    }
}

fn child(graph: GraphHandle) -> Outcome<Work> {
    Ok(Work::Child(get().graphs.get(graph)?.duplicate()?))
}

fn free(pointer: *mut c_void) -> Outcome<Work> {
    let address = pointer as u64;
    match get().memory.find(address) {
        Some(alloc) if alloc.base == address => Ok(Work::Free(address)),
        _ => Err(Code::InvalidValue.because(format!("{pointer:p} is no allocation"))),
    }
}

hip_api! {
    fn hipGraphAddNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        nodeParams: *const c_void,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || from_any(nodeParams))
    }

    fn hipGraphNodeSetParams(node: GraphNodeHandle, nodeParams: *const c_void) {
        replace(node, from_any(nodeParams)?)
    }

    fn hipGraphExecNodeSetParams(graphExec: GraphExecHandle, node: GraphNodeHandle, nodeParams: *const c_void) {
        replace_in(graphExec, node, from_any(nodeParams)?)
    }

    fn hipDrvGraphMemcpyNodeSetParams(hNode: GraphNodeHandle, nodeParams: *const c_void) {
        replace(hNode, checked(from_driver_3d(nodeParams)?)?)
    }

    fn hipDrvGraphExecMemcpyNodeSetParams(
        hGraphExec: GraphExecHandle,
        hNode: GraphNodeHandle,
        copyParams: *const c_void,
        ctx: ContextHandle,
    ) {
        let _ = ctx;
        replace_in(hGraphExec, hNode, checked(from_driver_3d(copyParams)?)?)
    }

    fn hipDrvGraphMemcpyNodeGetParams(hNode: GraphNodeHandle, nodeParams: Out<HIP_MEMCPY3D>) {
        nodeParams.check()?;
        match &find(hNode)?.state().work {
            Work::Copy(copy) => nodeParams.set(copy_to_driver(copy)),
            _ => Err(wrong_kind()),
        }
    }

    fn hipDrvGraphExecMemsetNodeSetParams(
        hGraphExec: GraphExecHandle,
        hNode: GraphNodeHandle,
        memsetParams: In<HIP_MEMSET_NODE_PARAMS>,
        ctx: ContextHandle,
    ) {
        let _ = ctx;
        replace_in(hGraphExec, hNode, driver_fill(memsetParams)?)
    }

    fn hipGraphAddEmptyNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || Ok(Work::Empty))
    }

    fn hipGraphAddKernelNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        pNodeParams: In<hipKernelNodeParams>,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || kernel(pNodeParams))
    }

    fn hipGraphKernelNodeGetParams(node: GraphNodeHandle, pNodeParams: Out<hipKernelNodeParams>) {
        pNodeParams.check()?;
        let node = find(node)?;
        let mut state = node.state();
        let super::graph::NodeState { work, lent, .. } = &mut *state;
        match work {
            Work::Kernel(launch) => pNodeParams.set(kernel_to_c(launch, lent)),
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphKernelNodeSetParams(node: GraphNodeHandle, pNodeParams: In<hipKernelNodeParams>) {
        replace(node, kernel(pNodeParams)?)
    }

    fn hipGraphExecKernelNodeSetParams(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        pNodeParams: In<hipKernelNodeParams>,
    ) {
        replace_in(hGraphExec, node, kernel(pNodeParams)?)
    }

    fn hipGraphKernelNodeGetAttribute(hNode: GraphNodeHandle, attr: c_int, value: Out<c_int>) {
        value.check()?;
        match &find(hNode)?.state().work {
            Work::Kernel(launch) if attr == COOPERATIVE => value.set(c_int::from(launch.cooperative)),
            Work::Kernel(_) => Err(Code::InvalidValue.because(format!("attribute {attr}"))),
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphKernelNodeSetAttribute(hNode: GraphNodeHandle, attr: c_int, value: In<c_int>) {
        let value = value.get()?;
        match &mut find(hNode)?.state().work {
            Work::Kernel(launch) if attr == COOPERATIVE => launch.cooperative = value != 0,
            Work::Kernel(_) if WITHOUT_EFFECT.contains(&attr) => {}
            Work::Kernel(_) => return Err(Code::InvalidValue.because(format!("attribute {attr}"))),
            _ => return Err(wrong_kind()),
        }
        Ok(())
    }

    fn hipGraphKernelNodeCopyAttributes(hSrc: GraphNodeHandle, hDst: GraphNodeHandle) {
        let cooperative = match &find(hSrc)?.state().work {
            Work::Kernel(launch) => launch.cooperative,
            _ => return Err(wrong_kind()),
        };
        match &mut find(hDst)?.state().work {
            Work::Kernel(launch) => launch.cooperative = cooperative,
            _ => return Err(wrong_kind()),
        }
        Ok(())
    }

    fn hipGraphAddMemcpyNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        pCopyParams: In<hipMemcpy3DParms>,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || checked(from_3d(&pCopyParams.get()?)?))
    }

    fn hipDrvGraphAddMemcpyNode(
        phGraphNode: Out<GraphNodeHandle>,
        hGraph: GraphHandle,
        dependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        copyParams: *const c_void,
        ctx: ContextHandle,
    ) {
        let _ = ctx;
        add(phGraphNode, hGraph, dependencies, numDependencies, || checked(from_driver_3d(copyParams)?))
    }

    fn hipGraphAddMemcpyNode1D(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        dst: *mut c_void,
        src: *const c_void,
        count: usize,
        kind: c_int,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || copy_1d(dst, src, count, kind))
    }

    fn hipGraphAddMemcpyNodeToSymbol(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        symbol: *const c_void,
        src: *const c_void,
        count: usize,
        offset: usize,
        kind: c_int,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || copy_to_symbol(symbol, src, count, offset, kind))
    }

    fn hipGraphAddMemcpyNodeFromSymbol(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        dst: *mut c_void,
        symbol: *const c_void,
        count: usize,
        offset: usize,
        kind: c_int,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || copy_from_symbol(dst, symbol, count, offset, kind))
    }

    fn hipGraphMemcpyNodeGetParams(node: GraphNodeHandle, pNodeParams: Out<hipMemcpy3DParms>) {
        pNodeParams.check()?;
        match &find(node)?.state().work {
            Work::Copy(copy) => pNodeParams.set(copy_to_c(copy)),
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphMemcpyNodeSetParams(node: GraphNodeHandle, pNodeParams: In<hipMemcpy3DParms>) {
        replace(node, checked(from_3d(&pNodeParams.get()?)?)?)
    }

    fn hipGraphMemcpyNodeSetParams1D(
        node: GraphNodeHandle,
        dst: *mut c_void,
        src: *const c_void,
        count: usize,
        kind: c_int,
    ) {
        replace(node, copy_1d(dst, src, count, kind)?)
    }

    fn hipGraphMemcpyNodeSetParamsToSymbol(
        node: GraphNodeHandle,
        symbol: *const c_void,
        src: *const c_void,
        count: usize,
        offset: usize,
        kind: c_int,
    ) {
        replace(node, copy_to_symbol(symbol, src, count, offset, kind)?)
    }

    fn hipGraphMemcpyNodeSetParamsFromSymbol(
        node: GraphNodeHandle,
        dst: *mut c_void,
        symbol: *const c_void,
        count: usize,
        offset: usize,
        kind: c_int,
    ) {
        replace(node, copy_from_symbol(dst, symbol, count, offset, kind)?)
    }

    fn hipGraphExecMemcpyNodeSetParams(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        pNodeParams: In<hipMemcpy3DParms>,
    ) {
        replace_in(hGraphExec, node, checked(from_3d(&pNodeParams.get()?)?)?)
    }

    fn hipGraphExecMemcpyNodeSetParams1D(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        dst: *mut c_void,
        src: *const c_void,
        count: usize,
        kind: c_int,
    ) {
        replace_in(hGraphExec, node, copy_1d(dst, src, count, kind)?)
    }

    fn hipGraphExecMemcpyNodeSetParamsToSymbol(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        symbol: *const c_void,
        src: *const c_void,
        count: usize,
        offset: usize,
        kind: c_int,
    ) {
        replace_in(hGraphExec, node, copy_to_symbol(symbol, src, count, offset, kind)?)
    }

    fn hipGraphExecMemcpyNodeSetParamsFromSymbol(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        dst: *mut c_void,
        symbol: *const c_void,
        count: usize,
        offset: usize,
        kind: c_int,
    ) {
        replace_in(hGraphExec, node, copy_from_symbol(dst, symbol, count, offset, kind)?)
    }

    fn hipGraphAddMemsetNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        pMemsetParams: In<hipMemsetParams>,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || fill(&pMemsetParams.get()?))
    }

    fn hipDrvGraphAddMemsetNode(
        phGraphNode: Out<GraphNodeHandle>,
        hGraph: GraphHandle,
        dependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        memsetParams: In<HIP_MEMSET_NODE_PARAMS>,
        ctx: ContextHandle,
    ) {
        let _ = ctx;
        add(phGraphNode, hGraph, dependencies, numDependencies, || driver_fill(memsetParams))
    }

    fn hipGraphMemsetNodeGetParams(node: GraphNodeHandle, pNodeParams: Out<hipMemsetParams>) {
        pNodeParams.check()?;
        match &find(node)?.state().work {
            Work::Fill(fill) => pNodeParams.set(hipMemsetParams {
                dst: fill.dst.address as *mut c_void,
                elementSize: fill.value_size as u32,
                height: fill.size.height as usize,
                pitch: fill.dst.pitch as usize,
                value: fill.value,
                width: (fill.size.width / fill.value_size) as usize,
            }),
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphMemsetNodeSetParams(node: GraphNodeHandle, pNodeParams: In<hipMemsetParams>) {
        replace(node, fill(&pNodeParams.get()?)?)
    }

    fn hipGraphExecMemsetNodeSetParams(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        pNodeParams: In<hipMemsetParams>,
    ) {
        replace_in(hGraphExec, node, fill(&pNodeParams.get()?)?)
    }

    fn hipGraphAddHostNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        pNodeParams: In<hipHostNodeParams>,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || host(&pNodeParams.get()?))
    }

    fn hipGraphHostNodeGetParams(node: GraphNodeHandle, pNodeParams: Out<hipHostNodeParams>) {
        pNodeParams.check()?;
        match &find(node)?.state().work {
            Work::Host(HostCall::Function(function, data)) => {
                pNodeParams.set(hipHostNodeParams { fn_: Some(*function), userData: *data as *mut c_void })
            }
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphHostNodeSetParams(node: GraphNodeHandle, pNodeParams: In<hipHostNodeParams>) {
        replace(node, host(&pNodeParams.get()?)?)
    }

    fn hipGraphExecHostNodeSetParams(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        pNodeParams: In<hipHostNodeParams>,
    ) {
        replace_in(hGraphExec, node, host(&pNodeParams.get()?)?)
    }

    fn hipGraphAddChildGraphNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        childGraph: GraphHandle,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || {
            if childGraph == graph {
                return Err(Code::InvalidValue.because("a graph cannot have itself as a node"));
            }
            child(childGraph)
        })
    }

    fn hipGraphChildGraphNodeGetGraph(node: GraphNodeHandle, pGraph: Out<GraphHandle>) {
        pGraph.check()?;
        match &find(node)?.state().work {
            Work::Child(graph) => pGraph.set(graph.hand_out()),
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphAddEventRecordNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        event: EventHandle,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || record(event))
    }

    fn hipGraphAddEventWaitNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        event: EventHandle,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || wait(event))
    }

    fn hipGraphEventRecordNodeGetEvent(node: GraphNodeHandle, event_out: Out<EventHandle>) {
        event_out.check()?;
        event_out.set(as_event(&find(node)?.state().work, true)?)
    }

    fn hipGraphEventWaitNodeGetEvent(node: GraphNodeHandle, event_out: Out<EventHandle>) {
        event_out.check()?;
        event_out.set(as_event(&find(node)?.state().work, false)?)
    }

    fn hipGraphEventRecordNodeSetEvent(node: GraphNodeHandle, event: EventHandle) {
        replace(node, record(event)?)
    }

    fn hipGraphEventWaitNodeSetEvent(node: GraphNodeHandle, event: EventHandle) {
        replace(node, wait(event)?)
    }

    fn hipGraphExecEventRecordNodeSetEvent(hGraphExec: GraphExecHandle, hNode: GraphNodeHandle, event: EventHandle) {
        replace_in(hGraphExec, hNode, record(event)?)
    }

    fn hipGraphExecEventWaitNodeSetEvent(hGraphExec: GraphExecHandle, hNode: GraphNodeHandle, event: EventHandle) {
        replace_in(hGraphExec, hNode, wait(event)?)
    }

    fn hipGraphAddMemAllocNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        pNodeParams: Out<hipMemAllocNodeParams>,
    ) {
        let mut params = pNodeParams.get()?;
        let device = device(params.poolProps.location.id)?.index();
        if params.bytesize == 0 {
            return Err(Code::InvalidValue.because("nothing is to be allocated"));
        }
        let memory = GraphMemory::allocate(device, params.bytesize as u64)?;
        params.dptr = memory.address as *mut c_void;
        add(pGraphNode, graph, pDependencies, numDependencies, || Ok(Work::Allocate(memory)))?;
        pNodeParams.set(params)
    }

    fn hipGraphMemAllocNodeGetParams(node: GraphNodeHandle, pNodeParams: Out<hipMemAllocNodeParams>) {
        pNodeParams.check()?;
        match &find(node)?.state().work {
            Work::Allocate(memory) => {
                let mut params = hipMemAllocNodeParams::zeroed();
                // Pinned memory of a device.
                params.poolProps.allocType = 1;
                params.poolProps.location.type_ = 1;
                params.poolProps.location.id = get().memory.find(memory.address).map_or(0, |alloc| alloc.device as c_int);
                params.bytesize = memory.size as usize;
                params.dptr = memory.address as *mut c_void;
                pNodeParams.set(params)
            }
            _ => Err(wrong_kind()),
        }
    }

    fn hipGraphAddMemFreeNode(
        pGraphNode: Out<GraphNodeHandle>,
        graph: GraphHandle,
        pDependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        dev_ptr: *mut c_void,
    ) {
        add(pGraphNode, graph, pDependencies, numDependencies, || free(dev_ptr))
    }

    fn hipGraphMemFreeNodeGetParams(node: GraphNodeHandle, dev_ptr: Out<*mut c_void>) {
        dev_ptr.check()?;
        match &find(node)?.state().work {
            Work::Free(address) => dev_ptr.set(*address as *mut c_void),
            _ => Err(wrong_kind()),
        }
    }

    fn hipDrvGraphAddMemFreeNode(
        phGraphNode: Out<GraphNodeHandle>,
        hGraph: GraphHandle,
        dependencies: List<GraphNodeHandle>,
        numDependencies: usize,
        dptr: *mut c_void,
    ) {
        add(phGraphNode, hGraph, dependencies, numDependencies, || free(dptr))
    }
}
