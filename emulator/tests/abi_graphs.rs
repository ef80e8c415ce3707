//! Graphs through the C ABI: captured from streams, made node by node, launched, changed, and refused.

#[macro_use]
mod abi_support;

use std::ffi::c_int;
use std::ptr::null_mut;

use abi_support::code::*;
use abi_support::{Hip, ON_DEVICE, Ptr, arg, kernels, one_device};
use amdhip64::hip::types::{dim3, hipKernelNodeParams, hipMemsetParams};

/// What a graph's nodes are, by their `hipGraphNodeType`, and how many edges it has.
fn shape(hip: &Hip, graph: Ptr) -> (Vec<c_int>, usize) {
    let (mut count, mut edges) = (0, 0);
    ok!(hip.hipGraphGetNodes(graph, null_mut(), &mut count));
    ok!(hip.hipGraphGetEdges(graph, null_mut(), null_mut(), &mut edges));
    let mut nodes = vec![null_mut(); count];
    ok!(hip.hipGraphGetNodes(graph, nodes.as_mut_ptr(), &mut count));
    let kind = |node: Ptr| {
        let mut kind = -1;
        ok!(hip.hipGraphNodeGetType(node, &mut kind));
        kind
    };
    (nodes.into_iter().map(kind).collect(), edges)
}

#[test]
fn a_captured_graph_is_replayed() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let module = hip.load_module(&kernels());
    let increment = hip.function(module, c"increment");
    let (a, b) = (hip.upload(&[0_u32; 32]), hip.upload(&[0_u32; 32]));
    let (stream, other) = (hip.stream(), hip.stream());
    let (fork, join) = (hip.event(), hip.event());
    let mut status = -1;
    ok!(hip.hipStreamBeginCapture(stream, 0));
    ok!(hip.hipStreamIsCapturing(stream, &mut status));
    assert_eq!(status, 1);
    expect!(ILLEGAL_STATE, hip.hipStreamBeginCapture(stream, 0));
    assert_eq!(
        hip.launch(increment, 1, 32, stream, &mut [arg(&a), arg(&1_u32)]),
        SUCCESS
    );
    ok!(hip.hipEventRecord(fork, stream));
    ok!(hip.hipStreamWaitEvent(other, fork, 0));
    assert_eq!(
        hip.launch(increment, 1, 32, other, &mut [arg(&b), arg(&10_u32)]),
        SUCCESS
    );
    assert_eq!(
        hip.launch(increment, 1, 32, stream, &mut [arg(&a), arg(&2_u32)]),
        SUCCESS
    );
    expect!(CAPTURED_EVENT, hip.hipEventQuery(fork));
    ok!(hip.hipEventRecord(join, other));
    ok!(hip.hipStreamWaitEvent(stream, join, 0));
    ok!(hip.hipMemcpyAsync(a, b, 4, ON_DEVICE, stream));
    let mut graph = null_mut();
    ok!(hip.hipStreamEndCapture(stream, &mut graph));
    ok!(hip.hipStreamIsCapturing(other, &mut status));
    assert_eq!(status, 0);
    // Nothing was executed. The copy depends on both branches.
    assert_eq!(hip.download::<u32>(a, 32), [0; 32]);
    assert_eq!(shape(hip, graph), (vec![0, 0, 0, 1], 4));

    let (mut exec, mut copy) = (null_mut(), null_mut());
    ok!(hip.hipGraphInstantiate(&mut exec, graph, null_mut(), null_mut(), 0));
    ok!(hip.hipGraphClone(&mut copy, graph));
    assert_eq!(shape(hip, copy), shape(hip, graph));
    ok!(hip.hipGraphDestroy(graph));
    for _ in 0..3 {
        ok!(hip.hipGraphLaunch(exec, stream));
    }
    assert_eq!(hip.download::<u32>(b, 32), [30; 32]);
    let values = hip.download::<u32>(a, 32);
    assert_eq!((values[0], &values[1..]), (30, &[9; 31][..]));
    ok!(hip.hipGraphExecDestroy(exec));
    expect!(INVALID_HANDLE, hip.hipGraphLaunch(exec, stream));
    ok!(hip.hipGraphDestroy(copy));
    for event in [fork, join] {
        ok!(hip.hipEventDestroy(event));
    }
    for stream in [stream, other] {
        ok!(hip.hipStreamDestroy(stream));
    }
    hip.free(a);
    hip.free(b);
    ok!(hip.hipModuleUnload(module));
    assert_eq!(hip.alive(), before);
}

#[test]
fn captures_that_fail() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let (stream, other) = (hip.stream(), hip.stream());
    let (event, memory) = (hip.event(), hip.malloc(64));
    let (mut graph, mut pointer) = (null_mut(), null_mut());
    expect!(
        CAPTURE_UNSUPPORTED,
        hip.hipStreamBeginCapture(null_mut(), 0)
    );
    expect!(INVALID_VALUE, hip.hipStreamBeginCapture(stream, 3));
    expect!(ILLEGAL_STATE, hip.hipStreamEndCapture(stream, &mut graph));

    // What disturbs a capture fails and spoils it.
    ok!(hip.hipStreamBeginCapture(stream, 0));
    expect!(CAPTURE_UNSUPPORTED, hip.hipStreamSynchronize(stream));
    expect!(
        CAPTURE_INVALIDATED,
        hip.hipMemsetAsync(memory, 0, 4, stream)
    );
    expect!(
        CAPTURE_INVALIDATED,
        hip.hipStreamEndCapture(stream, &mut graph)
    );
    assert!(graph.is_null());
    ok!(hip.hipStreamBeginCapture(stream, 0));
    expect!(CAPTURE_UNSUPPORTED, hip.hipMalloc(&mut pointer, 4));
    expect!(
        CAPTURE_INVALIDATED,
        hip.hipStreamEndCapture(stream, &mut graph)
    );
    // The legacy default stream waits for the captured one.
    ok!(hip.hipStreamBeginCapture(stream, 2));
    expect!(CAPTURE_IMPLICIT, hip.hipMemset(memory, 0, 4));
    expect!(
        CAPTURE_INVALIDATED,
        hip.hipStreamEndCapture(stream, &mut graph)
    );
    // In the relaxed mode memory may be allocated.
    ok!(hip.hipStreamBeginCapture(stream, 2));
    hip.free(hip.malloc(4));
    ok!(hip.hipStreamEndCapture(stream, &mut graph));
    ok!(hip.hipGraphDestroy(graph));
    // A branch that is not joined, an end in the wrong place, an event from outside.
    ok!(hip.hipStreamBeginCapture(stream, 0));
    ok!(hip.hipMemsetAsync(memory, 1, 4, stream));
    ok!(hip.hipEventRecord(event, stream));
    ok!(hip.hipStreamWaitEvent(other, event, 0));
    ok!(hip.hipMemsetAsync(memory, 2, 4, other));
    expect!(
        CAPTURE_UNJOINED,
        hip.hipStreamEndCapture(stream, &mut graph)
    );
    ok!(hip.hipEventRecord(event, other));
    ok!(hip.hipStreamBeginCapture(stream, 0));
    expect!(CAPTURE_ISOLATION, hip.hipStreamWaitEvent(stream, event, 0));
    expect!(
        CAPTURE_INVALIDATED,
        hip.hipStreamEndCapture(stream, &mut graph)
    );
    ok!(hip.hipStreamBeginCapture(stream, 0));
    ok!(hip.hipEventRecord(event, stream));
    ok!(hip.hipStreamWaitEvent(other, event, 0));
    expect!(
        CAPTURE_UNMATCHED,
        hip.hipStreamEndCapture(other, &mut graph)
    );
    expect!(
        CAPTURE_INVALIDATED,
        hip.hipStreamEndCapture(stream, &mut graph)
    );

    ok!(hip.hipEventDestroy(event));
    ok!(hip.hipStreamDestroy(stream));
    ok!(hip.hipStreamDestroy(other));
    hip.free(memory);
    assert_eq!(hip.alive(), before);
}

#[test]
fn a_graph_made_node_by_node() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let module = hip.load_module(&kernels());
    let increment = hip.function(module, c"increment");
    let values = hip.malloc(128);
    let (mut graph, mut fill, mut kernel, mut empty) =
        (null_mut(), null_mut(), null_mut(), null_mut());
    ok!(hip.hipGraphCreate(&mut graph, 0));
    let mut fills = hipMemsetParams::zeroed();
    (
        fills.dst,
        fills.elementSize,
        fills.width,
        fills.height,
        fills.value,
    ) = (values, 4, 32, 1, 7);
    ok!(hip.hipGraphAddMemsetNode(&mut fill, graph, std::ptr::null(), 0, arg(&fills)));
    let by = 3_u32;
    let mut arguments = [arg(&values), arg(&by)];
    let mut launch = hipKernelNodeParams::zeroed();
    launch.func = increment;
    launch.gridDim = dim3 { x: 1, y: 1, z: 1 };
    launch.blockDim = dim3 { x: 32, y: 1, z: 1 };
    launch.kernelParams = arguments.as_mut_ptr();
    ok!(hip.hipGraphAddKernelNode(&mut kernel, graph, &fill, 1, arg(&launch)));
    ok!(hip.hipGraphAddEmptyNode(&mut empty, graph, std::ptr::null(), 0));
    ok!(hip.hipGraphAddDependencies(graph, &kernel, &empty, 1));
    // A circle, a dependency twice, a node of no graph.
    expect!(
        INVALID_VALUE,
        hip.hipGraphAddDependencies(graph, &empty, &fill, 1)
    );
    expect!(
        INVALID_VALUE,
        hip.hipGraphAddDependencies(graph, &fill, &kernel, 1)
    );
    expect!(
        INVALID_VALUE,
        hip.hipGraphAddEmptyNode(&mut null_mut(), graph, &graph, 1)
    );
    let mut told = hipKernelNodeParams::zeroed();
    ok!(hip.hipGraphKernelNodeGetParams(kernel, (&raw mut told).cast()));
    assert_eq!(
        (told.func, told.blockDim.x, told.gridDim.x),
        (increment, 32, 1)
    );
    // SAFETY: the second argument of the kernel is a number of four bytes.
    assert_eq!(unsafe { *(*told.kernelParams.add(1)).cast::<u32>() }, 3);
    expect!(
        INVALID_VALUE,
        hip.hipGraphKernelNodeGetParams(fill, (&raw mut told).cast())
    );

    let mut exec = null_mut();
    ok!(hip.hipGraphInstantiateWithFlags(&mut exec, graph, 0));
    ok!(hip.hipGraphLaunch(exec, null_mut()));
    assert_eq!(hip.download::<u32>(values, 32), [10; 32]);
    // Another argument for the instance alone, then from the graph again.
    let more = 5_u32;
    let mut changed = [arg(&values), arg(&more)];
    launch.kernelParams = changed.as_mut_ptr();
    ok!(hip.hipGraphExecKernelNodeSetParams(exec, kernel, arg(&launch)));
    ok!(hip.hipGraphLaunch(exec, null_mut()));
    assert_eq!(hip.download::<u32>(values, 32), [12; 32]);
    let (mut node, mut result) = (null_mut(), -1);
    ok!(hip.hipGraphExecUpdate(exec, graph, &mut node, &mut result));
    assert_eq!(result, 0);
    ok!(hip.hipGraphNodeSetEnabled(exec, fill, 0));
    expect!(INVALID_VALUE, hip.hipGraphNodeSetEnabled(exec, empty, 0));
    ok!(hip.hipGraphLaunch(exec, null_mut()));
    assert_eq!(hip.download::<u32>(values, 32), [15; 32]);
    ok!(hip.hipGraphAddEmptyNode(&mut null_mut(), graph, std::ptr::null(), 0));
    expect!(
        GRAPH_UPDATE_FAILURE,
        hip.hipGraphExecUpdate(exec, graph, &mut node, &mut result)
    );
    assert_eq!(result, 2);

    ok!(hip.hipGraphExecDestroy(exec));
    ok!(hip.hipGraphDestroy(graph));
    expect!(INVALID_HANDLE, hip.hipGraphNodeGetType(kernel, &mut 0));
    hip.free(values);
    ok!(hip.hipModuleUnload(module));
    assert_eq!(hip.alive(), before);
}

#[test]
fn memory_that_a_graph_owns() {
    let (hip, _turn) = one_device();
    let before = hip.alive();
    let stream = hip.stream();
    let (mut graph, mut exec, mut pointer) = (null_mut(), null_mut(), null_mut());
    let result = hip.upload(&[0_u32; 4]);
    ok!(hip.hipStreamBeginCapture(stream, 0));
    ok!(hip.hipMallocAsync(&mut pointer, 16, stream));
    ok!(hip.hipMemsetAsync(pointer, 0x11, 16, stream));
    ok!(hip.hipMemcpyAsync(result, pointer, 16, ON_DEVICE, stream));
    ok!(hip.hipFreeAsync(pointer, stream));
    ok!(hip.hipStreamEndCapture(stream, &mut graph));
    assert_eq!(shape(hip, graph), (vec![10, 2, 1, 11], 3));
    ok!(hip.hipGraphInstantiateWithFlags(&mut exec, graph, 0));
    ok!(hip.hipGraphDestroy(graph));
    for _ in 0..2 {
        ok!(hip.hipMemset(result, 0, 16));
        ok!(hip.hipGraphLaunch(exec, stream));
        assert_eq!(hip.download::<u32>(result, 4), [0x1111_1111; 4]);
    }
    ok!(hip.hipGraphExecDestroy(exec));
    hip.free(result);
    ok!(hip.hipStreamDestroy(stream));
    assert_eq!(hip.alive(), before);
}
