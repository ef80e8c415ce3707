//! Graphs: work with dependencies, made node by node or captured from streams.

use std::ffi::{c_char, c_int, c_uint};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustc_hash::{FxHashMap, FxHashSet};

use super::call::hip_api;
use super::ffi::{GraphHandle, GraphNodeHandle, List, Out, Text, kind};
use super::graph_exec::{Action, Plan, Step};
use super::registry::Registry;
use super::runtime::get;
use super::status::{Code, Outcome};
use super::user_object::Reference;
use super::work::Work;

/// A graph.
pub struct Graph {
    /// What clients call it.
    pub handle: GraphHandle,
    nodes: Mutex<Vec<Arc<GraphNode>>>,
    user_objects: Mutex<Vec<Reference>>,
    /// Whether the client has the handle.
    handed_out: AtomicBool,
    /// The nodes that its nodes were cloned from, if it is a clone: from the original to the clone.
    clones: FxHashMap<usize, GraphNodeHandle>,
}

/// A node of a graph.
pub struct GraphNode {
    /// What clients call it.
    pub handle: GraphNodeHandle,
    graph: Weak<Graph>,
    state: Mutex<NodeState>,
}

/// What can change about a node.
pub struct NodeState {
    /// The work.
    pub work: Work,
    /// The nodes whose work comes before.
    pub dependencies: Vec<Arc<GraphNode>>,
    /// Addresses that were lent to the client with the node's parameters.
    pub lent: Vec<usize>,
}

impl GraphNode {
    /// What can change about the node.
    pub fn state(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The graph that the node belongs to.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` if the graph was destroyed.
    pub fn graph(&self) -> Outcome<Arc<Graph>> {
        self.graph
            .upgrade()
            .ok_or_else(|| Code::InvalidValue.because("the node's graph was destroyed"))
    }
}

impl Graph {
    fn build(handle: GraphHandle, clones: FxHashMap<usize, GraphNodeHandle>) -> Self {
        Self {
            handle,
            nodes: Mutex::default(),
            user_objects: Mutex::default(),
            handed_out: AtomicBool::new(false),
            clones,
        }
    }

    /// An empty graph, which the client does not know yet.
    pub fn create() -> Arc<Self> {
        let handle = Registry::<kind::Graph, Graph>::fresh();
        Arc::new(Self::build(handle, FxHashMap::default()))
    }

    /// Gives the graph to the client.
    pub fn hand_out(self: &Arc<Self>) -> GraphHandle {
        if !self.handed_out.swap(true, Ordering::AcqRel) {
            get().graphs.insert_as(self.handle, Arc::clone(self));
        }
        self.handle
    }

    /// The nodes in the order in which they were added.
    pub fn nodes(&self) -> MutexGuard<'_, Vec<Arc<GraphNode>>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects of the client that the graph refers to.
    pub fn user_objects(&self) -> MutexGuard<'_, Vec<Reference>> {
        self.user_objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a node.
    pub fn add(self: &Arc<Self>, work: Work, dependencies: Vec<Arc<GraphNode>>) -> Arc<GraphNode> {
        let handle = Registry::<kind::GraphNode, GraphNode>::fresh();
        let node = Arc::new(GraphNode {
            handle,
            graph: Arc::downgrade(self),
            state: Mutex::new(NodeState {
                work,
                dependencies,
                lent: Vec::new(),
            }),
        });
        self.nodes().push(Arc::clone(&node));
        get().graph_nodes.insert_as(handle, Arc::clone(&node));
        node
    }

    /// The nodes with these handles, each of them once.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` if one is no node of this graph, or is there twice.
    pub fn nodes_of(&self, handles: &[GraphNodeHandle]) -> Outcome<Vec<Arc<GraphNode>>> {
        let mut seen = FxHashSet::default();
        let nodes = self.nodes();
        let find = |handle: &GraphNodeHandle| {
            let node = nodes.iter().find(|node| node.handle == *handle);
            let node = node.filter(|_| seen.insert(handle.0)).cloned();
            node.ok_or_else(|| {
                Code::InvalidValue.because(format!(
                    "{handle:?} is no node of the graph, or there twice"
                ))
            })
        };
        handles.iter().map(find).collect()
    }

    /// The nodes in an order in which each comes after what it depends on, otherwise as they were added.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` if the dependencies make a circle.
    fn in_order(&self) -> Outcome<Vec<Arc<GraphNode>>> {
        let mut waiting = self.nodes().clone();
        let mut done = FxHashSet::default();
        let mut ordered = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|node| {
                let is_ready = node
                    .state()
                    .dependencies
                    .iter()
                    .all(|other| done.contains(&other.handle.0));
                if is_ready {
                    done.insert(node.handle.0);
                    ordered.push(Arc::clone(node));
                }
                !is_ready
            });
            if waiting.len() == before {
                return Err(Code::InvalidValue.because("the graph's dependencies make a circle"));
            }
        }
        Ok(ordered)
    }

    /// The steps that execute the graph.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` if the dependencies make a circle.
    pub fn plan(&self) -> Outcome<Plan> {
        let nodes = self.in_order()?;
        let places: FxHashMap<usize, usize> = nodes
            .iter()
            .enumerate()
            .map(|(place, node)| (node.handle.0, place))
            .collect();
        let step = |node: &Arc<GraphNode>| {
            let state = node.state();
            let mut dependencies: Vec<usize> = state
                .dependencies
                .iter()
                .filter_map(|other| places.get(&other.handle.0).copied())
                .collect();
            dependencies.sort_unstable();
            let action = match &state.work {
                Work::Child(graph) => Action::Plan(graph.plan()?),
                work => Action::Work(work.clone()),
            };
            Ok(Step {
                node: node.handle,
                dependencies,
                action,
                is_enabled: true,
            })
        };
        Ok(Plan {
            steps: nodes.iter().map(step).collect::<Outcome<_>>()?,
        })
    }

    /// A copy with nodes of its own.
    ///
    /// # Errors
    /// Those of [`plan`](Self::plan).
    pub fn duplicate(&self) -> Outcome<Arc<Graph>> {
        let ordered = self.in_order()?;
        let handle = Registry::<kind::Graph, Graph>::fresh();
        let fresh = |node: &Arc<GraphNode>| {
            (
                node.handle.0,
                Registry::<kind::GraphNode, GraphNode>::fresh(),
            )
        };
        let clones: FxHashMap<usize, GraphNodeHandle> = ordered.iter().map(fresh).collect();
        let copy = Arc::new(Self::build(handle, clones));
        let mut made: FxHashMap<usize, Arc<GraphNode>> = FxHashMap::default();
        for node in &ordered {
            let state = node.state();
            let dependencies = state
                .dependencies
                .iter()
                .filter_map(|other| made.get(&other.handle.0).cloned());
            let work = match &state.work {
                Work::Child(graph) => Work::Child(graph.duplicate()?),
                work => work.clone(),
            };
            let clone = Arc::new(GraphNode {
                handle: copy.clones[&node.handle.0],
                graph: Arc::downgrade(&copy),
                state: Mutex::new(NodeState {
                    work,
                    dependencies: dependencies.collect(),
                    lent: Vec::new(),
                }),
            });
            copy.nodes().push(Arc::clone(&clone));
            get()
                .graph_nodes
                .insert_as(clone.handle, Arc::clone(&clone));
            made.insert(node.handle.0, clone);
        }
        copy.user_objects()
            .extend(self.user_objects().iter().cloned());
        Ok(copy)
    }

    /// Takes the nodes out of the registry. Executable graphs have copies of the work.
    fn forget_nodes(&self) {
        for node in std::mem::take(&mut *self.nodes()) {
            let _ = get().graph_nodes.remove(node.handle);
            let mut state = node.state();
            state.dependencies.clear();
            if let Work::Child(child) = &state.work {
                child.forget_nodes();
            }
        }
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.forget_nodes();
    }
}

/// Drops a graph that was captured in vain.
pub fn discard_unless_handed_out(graph: &Arc<Graph>) {
    if !graph.handed_out.load(Ordering::Acquire) {
        graph.forget_nodes();
    }
}

/// The numbers of the nodes and of all that they depend on.
pub fn ancestors(nodes: &[Arc<GraphNode>]) -> FxHashSet<usize> {
    let mut reached = FxHashSet::default();
    let mut waiting = nodes.to_vec();
    while let Some(node) = waiting.pop() {
        if reached.insert(node.handle.0) {
            waiting.extend(node.state().dependencies.iter().cloned());
        }
    }
    reached
}

/// Hands a list out as HIP does: without a place for it only its length, otherwise as much as there is room for, the rest
/// of the room null.
fn hand_out_list<T: Copy>(list: &[T], null: T, place: Out<T>, count: Out<usize>) -> Outcome {
    count.check()?;
    if place.is_null() {
        return count.set(list.len());
    }
    let room = count.get()?;
    let mut filled: Vec<T> = list.iter().copied().take(room).collect();
    filled.resize(room, null);
    place.set_all(&filled)?;
    count.set(list.len().min(room))
}

fn handles(nodes: &[Arc<GraphNode>]) -> Vec<GraphNodeHandle> {
    nodes.iter().map(|node| node.handle).collect()
}

/// The pairs of nodes that two lists of the client name.
fn pairs(
    graph: &Graph,
    from: List<GraphNodeHandle>,
    to: List<GraphNodeHandle>,
    count: usize,
) -> Outcome<Vec<(Arc<GraphNode>, Arc<GraphNode>)>> {
    let one = |handle: GraphNodeHandle| graph.nodes_of(&[handle]).map(|mut nodes| nodes.remove(0));
    let (from, to) = (from.get(count)?, to.get(count)?);
    from.into_iter()
        .zip(to)
        .map(|(from, to)| Ok((one(from)?, one(to)?)))
        .collect()
}

/// Writes a graph in the language of Graphviz.
fn dot(graph: &Graph) -> String {
    use std::fmt::Write;
    let mut text = String::from("digraph graph_ {\n");
    let nodes = graph.nodes();
    let place = |wanted: &Arc<GraphNode>| nodes.iter().position(|node| Arc::ptr_eq(node, wanted));
    for (index, node) in nodes.iter().enumerate() {
        let state = node.state();
        // Writing to a string does not fail.
        let _ = writeln!(text, "  n{index} [label={:?}];", state.work.describe());
        for other in state.dependencies.iter().filter_map(place) {
            let _ = writeln!(text, "  n{other} -> n{index};");
        }
    }
    text.push_str("}\n");
    text
}

hip_api! {
    fn hipGraphCreate(pGraph: Out<GraphHandle>, flags: c_uint) {
        pGraph.check()?;
        if flags != 0 {
            return Err(Code::InvalidValue.because("flags must be zero"));
        }
        pGraph.set(Graph::create().hand_out())
    }

    fn hipGraphDestroy(graph: GraphHandle) {
        let graph = get().graphs.remove(graph)?;
        graph.forget_nodes();
        let references = std::mem::take(&mut *graph.user_objects());
        drop(references);
        Ok(())
    }

    fn hipGraphClone(pGraphClone: Out<GraphHandle>, originalGraph: GraphHandle) {
        pGraphClone.check()?;
        pGraphClone.set(get().graphs.get(originalGraph)?.duplicate()?.hand_out())
    }

    fn hipGraphNodeFindInClone(
        pNode: Out<GraphNodeHandle>,
        originalNode: GraphNodeHandle,
        clonedGraph: GraphHandle,
    ) {
        pNode.check()?;
        let clone = get().graphs.get(clonedGraph)?;
        let node = clone.clones.get(&originalNode.0);
        pNode.set(*node.ok_or_else(|| Code::InvalidValue.because("the node was not in the original graph"))?)
    }

    fn hipGraphDestroyNode(node: GraphNodeHandle) {
        let node = get().graph_nodes.remove(node)?;
        if let Ok(graph) = node.graph() {
            let mut nodes = graph.nodes();
            nodes.retain(|other| !Arc::ptr_eq(other, &node));
            for other in nodes.iter() {
                other.state().dependencies.retain(|dependency| !Arc::ptr_eq(dependency, &node));
            }
        }
        Ok(())
    }

    fn hipGraphGetNodes(graph: GraphHandle, nodes: Out<GraphNodeHandle>, numNodes: Out<usize>) {
        numNodes.check()?;
        let graph = get().graphs.get(graph)?;
        let list = handles(&graph.nodes());
        hand_out_list(&list, GraphNodeHandle::NULL, nodes, numNodes)
    }

    fn hipGraphGetRootNodes(graph: GraphHandle, pRootNodes: Out<GraphNodeHandle>, pNumRootNodes: Out<usize>) {
        pNumRootNodes.check()?;
        let graph = get().graphs.get(graph)?;
        let mut nodes = graph.nodes().clone();
        nodes.retain(|node| node.state().dependencies.is_empty());
        hand_out_list(&handles(&nodes), GraphNodeHandle::NULL, pRootNodes, pNumRootNodes)
    }

    fn hipGraphGetEdges(
        graph: GraphHandle,
        from: Out<GraphNodeHandle>,
        to: Out<GraphNodeHandle>,
        numEdges: Out<usize>,
    ) {
        numEdges.check()?;
        if from.is_null() != to.is_null() {
            return Err(Code::InvalidValue.because("one of the two lists is null"));
        }
        let graph = get().graphs.get(graph)?;
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for node in graph.nodes().iter() {
            for dependency in &node.state().dependencies {
                starts.push(dependency.handle);
                ends.push(node.handle);
            }
        }
        let mut room = if from.is_null() { 0 } else { numEdges.get()? };
        hand_out_list(&starts, GraphNodeHandle::NULL, from, Out::at(&mut room))?;
        hand_out_list(&ends, GraphNodeHandle::NULL, to, numEdges)
    }

    fn hipGraphNodeGetDependencies(
        node: GraphNodeHandle,
        pDependencies: Out<GraphNodeHandle>,
        pNumDependencies: Out<usize>,
    ) {
        pNumDependencies.check()?;
        let list = handles(&get().graph_nodes.get(node)?.state().dependencies);
        hand_out_list(&list, GraphNodeHandle::NULL, pDependencies, pNumDependencies)
    }

    fn hipGraphNodeGetDependentNodes(
        node: GraphNodeHandle,
        pDependentNodes: Out<GraphNodeHandle>,
        pNumDependentNodes: Out<usize>,
    ) {
        pNumDependentNodes.check()?;
        let node = get().graph_nodes.get(node)?;
        let mut nodes = node.graph()?.nodes().clone();
        nodes.retain(|other| other.state().dependencies.iter().any(|dependency| Arc::ptr_eq(dependency, &node)));
        hand_out_list(&handles(&nodes), GraphNodeHandle::NULL, pDependentNodes, pNumDependentNodes)
    }

    fn hipGraphAddDependencies(
        graph: GraphHandle,
        from: List<GraphNodeHandle>,
        to: List<GraphNodeHandle>,
        numDependencies: usize,
    ) {
        let graph = get().graphs.get(graph)?;
        for (from, to) in pairs(&graph, from, to, numDependencies)? {
            if ancestors(&[Arc::clone(&from)]).contains(&to.handle.0) {
                return Err(Code::InvalidValue.because("the dependency would make a circle"));
            }
            let mut state = to.state();
            if state.dependencies.iter().any(|other| Arc::ptr_eq(other, &from)) {
                return Err(Code::InvalidValue.because("the dependency is there already"));
            }
            state.dependencies.push(from);
        }
        Ok(())
    }

    fn hipGraphRemoveDependencies(
        graph: GraphHandle,
        from: List<GraphNodeHandle>,
        to: List<GraphNodeHandle>,
        numDependencies: usize,
    ) {
        let graph = get().graphs.get(graph)?;
        for (from, to) in pairs(&graph, from, to, numDependencies)? {
            let mut state = to.state();
            let place = state.dependencies.iter().position(|other| Arc::ptr_eq(other, &from));
            let place = place.ok_or_else(|| Code::InvalidValue.because("there is no such dependency"))?;
            state.dependencies.remove(place);
        }
        Ok(())
    }

    fn hipGraphNodeGetType(node: GraphNodeHandle, pType: Out<c_int>) {
        pType.check()?;
        let kind = get().graph_nodes.get(node)?.state().work.node_type();
        pType.set(kind)
    }

    fn hipGraphDebugDotPrint(graph: GraphHandle, path: Text, flags: c_uint) {
        let _ = flags;
        let graph = get().graphs.get(graph)?;
        let path = path.get()?;
        std::fs::write(path, dot(&graph))
            .map_err(|error| Code::OperatingSystem.because(format!("{path}: {error}")))
    }

    fn hipDeviceGetGraphMemAttribute(deviceId: c_int, attr: c_int, value: Out<u64>) {
        graph_memory_attribute(deviceId, attr)?;
        value.set(0)
    }

    fn hipDeviceSetGraphMemAttribute(deviceId: c_int, attr: c_int, value: Out<u64>) {
        graph_memory_attribute(deviceId, attr)?;
        // The high-water marks can only be reset.
        if value.get()? != 0 || attr % 2 == 0 {
            return Err(Code::InvalidValue.because(format!("attribute {attr}")));
        }
        Ok(())
    }
}

/// Fails for what is no `hipGraphMemAttributeType`. Graphs reserve nothing ahead, so all of them are zero.
fn graph_memory_attribute(device: c_int, attribute: c_int) -> Outcome {
    super::runtime::device(device)?;
    if !(0..=3).contains(&attribute) {
        return Err(Code::InvalidValue.because(format!("attribute {attribute}")));
    }
    Ok(())
}

/// Writes a message into the log buffer of an instantiation.
pub fn write_log(buffer: Out<c_char>, len: usize, text: &str) {
    let len = c_int::try_from(len).unwrap_or(c_int::MAX);
    // A client that gives no buffer gets no message.
    let _ = super::ffi::set_text(buffer, len, text);
}
