//! Graphs that can be launched: the work of a graph in the order in which it is executed.

use std::ffi::{c_char, c_int, c_uint};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::call::hip_api;
use super::copy::own;
use super::device::Device;
use super::ffi::{GraphExecHandle, GraphHandle, GraphNodeHandle, Out, StreamHandle};
use super::graph::write_log;
use super::runtime::{device, get};
use super::status::{Code, Outcome};
use super::stream;
use super::types::hipGraphInstantiateParams;
use super::user_object::Reference;
use super::work::Work;

/// A graph that can be launched.
pub struct GraphExec {
    plan: Mutex<Plan>,
    /// The flags it was made with.
    flags: u64,
    /// What the graph kept alive is kept alive by this as well.
    _references: Vec<Reference>,
}

/// Steps in the order of their execution.
#[derive(Clone)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

/// A step.
#[derive(Clone)]
pub struct Step {
    /// The node of the graph that it came from.
    pub node: GraphNodeHandle,
    /// The steps that it depends on.
    pub dependencies: Vec<usize>,
    /// What is done.
    pub action: Action,
    /// Whether it is done.
    pub is_enabled: bool,
}

/// What a step does.
#[derive(Clone)]
pub enum Action {
    /// Work.
    Work(Work),
    /// All of another graph.
    Plan(Plan),
}

impl Plan {
    /// Executes the steps.
    ///
    /// # Errors
    /// The first one.
    pub fn execute(&self, device: &Device) -> Outcome {
        for step in self.steps.iter().filter(|step| step.is_enabled) {
            match &step.action {
                Action::Work(work) => work.execute(device)?,
                Action::Plan(plan) => plan.execute(device)?,
            }
        }
        Ok(())
    }
}

impl Action {
    fn node_type(&self) -> c_int {
        match self {
            Self::Work(work) => work.node_type(),
            Self::Plan(_) => super::work::CHILD_NODE,
        }
    }
}

impl GraphExec {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the step that came from a node.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` if there is none.
    pub fn change<R>(
        &self,
        node: GraphNodeHandle,
        change: impl FnOnce(&mut Step) -> Outcome<R>,
    ) -> Outcome<R> {
        let mut plan = self.plan();
        let step = plan.steps.iter_mut().find(|step| step.node == node);
        change(step.ok_or_else(|| {
            Code::InvalidValue.because(format!("{node:?} is no node of the graph"))
        })?)
    }

    /// Replaces the work of the step that came from a node by other work of the same kind.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` if there is none, or it is of another kind.
    pub fn replace(&self, node: GraphNodeHandle, work: Work) -> Outcome {
        self.change(node, |step| {
            if step.action.node_type() != work.node_type() {
                return Err(Code::InvalidValue.because("the node is of another kind"));
            }
            step.action = Action::Work(work);
            Ok(())
        })
    }
}

/// `hipGraphExecUpdateResult`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Update {
    Success = 0,
    TopologyChanged = 2,
    NodeTypeChanged = 3,
}

/// Takes the work of another graph with the same nodes and dependencies.
fn update(exec: &mut Plan, graph: &Plan) -> (Update, GraphNodeHandle) {
    if exec.steps.len() != graph.steps.len() {
        return (Update::TopologyChanged, GraphNodeHandle::NULL);
    }
    for (old, new) in exec.steps.iter().zip(&graph.steps) {
        if old.action.node_type() != new.action.node_type() {
            return (Update::NodeTypeChanged, new.node);
        }
        if old.dependencies != new.dependencies {
            return (Update::TopologyChanged, new.node);
        }
    }
    for (old, new) in exec.steps.iter_mut().zip(&graph.steps) {
        old.action = new.action.clone();
    }
    (Update::Success, GraphNodeHandle::NULL)
}

/// The flags of `hipGraphInstantiate`: automatic freeing on launch, upload, device launch, node priorities.
const FLAGS: u64 = 0xf;

fn instantiate(exec: Out<GraphExecHandle>, graph: GraphHandle, flags: u64) -> Outcome {
    exec.check()?;
    if flags & !FLAGS != 0 {
        return Err(Code::InvalidValue.because(format!("flags {flags:#x}")));
    }
    let graph = get().graphs.get(graph)?;
    let new = GraphExec {
        plan: Mutex::new(graph.plan()?),
        flags,
        _references: graph.user_objects().clone(),
    };
    exec.set(get().graph_execs.insert(Arc::new(new)))
}

fn launch(exec: GraphExecHandle, stream: StreamHandle) -> Outcome {
    let exec = get().graph_execs.get(exec)?;
    let stream = stream::usable(stream)?;
    let plan = exec.plan().clone();
    if stream.capture().is_some() {
        return Err(Code::StreamCaptureUnsupported.because("graphs are not launched into captures"));
    }
    let device = device(stream.device as c_int)?;
    stream.run(|| plan.execute(device))
}

hip_api! {
    fn hipGraphInstantiate(
        pGraphExec: Out<GraphExecHandle>,
        graph: GraphHandle,
        pErrorNode: Out<GraphNodeHandle>,
        pLogBuffer: Out<c_char>,
        bufferSize: usize,
    ) {
        pErrorNode.set_if_wanted(GraphNodeHandle::NULL);
        let outcome = instantiate(pGraphExec, graph, 0);
        let text = outcome.as_ref().err().map_or(String::new(), ToString::to_string);
        write_log(pLogBuffer, bufferSize, &text);
        outcome
    }

    fn hipGraphInstantiateWithFlags(pGraphExec: Out<GraphExecHandle>, graph: GraphHandle, flags: u64) {
        instantiate(pGraphExec, graph, flags)
    }

    fn hipGraphInstantiateWithParams(
        pGraphExec: Out<GraphExecHandle>,
        graph: GraphHandle,
        instantiateParams: Out<hipGraphInstantiateParams>,
    ) {
        let mut params = instantiateParams.get()?;
        let outcome = instantiate(pGraphExec, graph, params.flags);
        params.errNode_out = GraphNodeHandle::NULL;
        // `hipGraphInstantiateSuccess` and `hipGraphInstantiateInvalidStructure`.
        params.result_out = if outcome.is_ok() { 0 } else { 2 };
        instantiateParams.set(params)?;
        outcome
    }

    fn hipGraphExecDestroy(graphExec: GraphExecHandle) {
        get().graph_execs.remove(graphExec).map(drop)
    }

    fn hipGraphExecGetFlags(graphExec: GraphExecHandle, flags: Out<u64>) {
        flags.check()?;
        flags.set(get().graph_execs.get(graphExec)?.flags)
    }

    fn hipGraphLaunch(graphExec: GraphExecHandle, stream: StreamHandle) {
        launch(graphExec, stream)
    }

    fn hipGraphLaunch_spt(graphExec: GraphExecHandle, stream: StreamHandle) {
        launch(graphExec, own(stream))
    }

    fn hipGraphUpload(graphExec: GraphExecHandle, stream: StreamHandle) {
        get().graph_execs.get(graphExec)?;
        stream::usable(stream).map(drop)
    }

    fn hipGraphExecUpdate(
        hGraphExec: GraphExecHandle,
        hGraph: GraphHandle,
        hErrorNode_out: Out<GraphNodeHandle>,
        updateResult_out: Out<c_int>,
    ) {
        hErrorNode_out.check()?;
        updateResult_out.check()?;
        let exec = get().graph_execs.get(hGraphExec)?;
        let plan = get().graphs.get(hGraph)?.plan()?;
        let (result, node) = update(&mut exec.plan(), &plan);
        updateResult_out.set(result as c_int)?;
        hErrorNode_out.set(node)?;
        match result {
            Update::Success => Ok(()),
            _ => Err(Code::GraphExecUpdateFailure.because(format!("{result:?}"))),
        }
    }

    fn hipGraphNodeSetEnabled(hGraphExec: GraphExecHandle, hNode: GraphNodeHandle, isEnabled: c_uint) {
        get().graph_execs.get(hGraphExec)?.change(hNode, |step| {
            can_be_disabled(step)?;
            step.is_enabled = isEnabled != 0;
            Ok(())
        })
    }

    fn hipGraphNodeGetEnabled(hGraphExec: GraphExecHandle, hNode: GraphNodeHandle, isEnabled: Out<c_uint>) {
        isEnabled.check()?;
        let is_enabled = get().graph_execs.get(hGraphExec)?.change(hNode, |step| {
            can_be_disabled(step)?;
            Ok(step.is_enabled)
        })?;
        isEnabled.set(c_uint::from(is_enabled))
    }

    fn hipGraphExecChildGraphNodeSetParams(
        hGraphExec: GraphExecHandle,
        node: GraphNodeHandle,
        childGraph: GraphHandle,
    ) {
        let plan = get().graphs.get(childGraph)?.plan()?;
        get().graph_execs.get(hGraphExec)?.change(node, |step| {
            let updated = match &mut step.action {
                Action::Plan(old) => update(old, &plan).0 == Update::Success,
                Action::Work(_) => false,
            };
            if !updated {
                return Err(Code::InvalidValue.because("the node is no graph, or one with other nodes"));
            }
            Ok(())
        })
    }
}

/// Only kernels, copies and fills can be switched off.
fn can_be_disabled(step: &Step) -> Outcome {
    match &step.action {
        Action::Work(Work::Kernel(_) | Work::Copy(_) | Work::Fill(_)) => Ok(()),
        _ => Err(Code::InvalidValue.because("only kernels, copies and fills can be switched off")),
    }
}
