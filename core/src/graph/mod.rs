//! The graph: what to compute, as plain data, before anything is allocated.
//!
//! Values are single-assignment results with a type; they have no memory. *States* are named tensors that outlive a
//! run (parameters, moments): a graph reads a state's old value and may `assign` its new one, which takes effect
//! when all readers are done. A graph is built in topological order, so it is acyclic by construction, and every node is
//! type-checked as it is pushed. It knows no backend.

mod dump;

use crate::ops::{Op, OpError};
use crate::tensor::TensorType;

/// Handle of a value in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// Position in [`Graph::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Given at every run.
    Input(String),
    /// The old value of a state.
    State(String),
    /// A result of a node.
    Node {
        /// Index into [`Graph::nodes`].
        node: usize,
        /// Which of its results.
        result: usize,
    },
}

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Its type.
    pub ty: TensorType,
    /// Its source.
    pub origin: Origin,
}

/// An op applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Operands.
    pub inputs: Vec<ValueId>,
    /// Results.
    pub outputs: Vec<ValueId>,
    /// Where in the model it stands, such as `blocks.3.attn`.
    pub label: String,
}

/// A static computation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    values: Vec<Value>,
    outputs: Vec<(String, ValueId)>,
    assigns: Vec<(ValueId, ValueId)>,
    scope: String,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the label that nodes pushed from now on carry.
    pub fn scope(&mut self, label: impl Into<String>) {
        self.scope = label.into();
    }

    fn value(&mut self, ty: TensorType, origin: Origin) -> ValueId {
        self.values.push(Value { ty, origin });
        ValueId(u32::try_from(self.values.len() - 1).expect("a graph has fewer than 2^32 values"))
    }

    fn find(&self, origin: &Origin) -> Option<ValueId> {
        self.values.iter().position(|v| v.origin == *origin).map(|i| ValueId(i as u32))
    }

    /// The run-time input of this name; asking again gives the same value.
    pub fn input(&mut self, name: &str, ty: TensorType) -> ValueId {
        let origin = Origin::Input(name.to_owned());
        self.find(&origin).unwrap_or_else(|| self.value(ty, origin))
    }

    /// A scalar that is given at every run (a learning rate, a momentum).
    pub fn scalar(&mut self, name: &str) -> ValueId {
        self.input(name, TensorType::f32(&[]))
    }

    /// The old value of a state; asking again gives the same value.
    pub fn state(&mut self, name: &str, ty: TensorType) -> ValueId {
        let origin = Origin::State(name.to_owned());
        self.find(&origin).unwrap_or_else(|| self.value(ty, origin))
    }

    /// Appends a node and returns its results.
    pub fn push(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<Vec<ValueId>, OpError> {
        let op = op.into();
        let operands: Vec<&TensorType> = inputs.iter().map(|v| self.ty(*v)).collect();
        let types = op.def().infer(&operands)?;
        let node = self.nodes.len();
        let outputs = (types.into_iter().enumerate())
            .map(|(result, ty)| self.value(ty, Origin::Node { node, result }))
            .collect::<Vec<_>>();
        self.nodes.push(Node {
            op,
            inputs: inputs.to_vec(),
            outputs: outputs.clone(),
            label: self.scope.clone(),
        });
        Ok(outputs)
    }

    /// Appends a node with a single result.
    pub fn apply(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId, OpError> {
        Ok(self.push(op, inputs)?[0])
    }

    /// Names a value as a result of the run.
    pub fn output(&mut self, name: &str, value: ValueId) {
        self.outputs.push((name.to_owned(), value));
    }

    /// Gives `state` the value `value` once every reader of the old one is done.
    ///
    /// Panics when `state` is no state, is assigned twice, or the types differ: a bug of the builder.
    pub fn assign(&mut self, state: ValueId, value: ValueId) {
        assert!(
            matches!(self.values[state.index()].origin, Origin::State(_)),
            "only a state can be assigned"
        );
        assert!(self.assigns.iter().all(|(s, _)| *s != state), "a state is assigned once");
        assert_eq!(self.ty(state), self.ty(value), "a state keeps its type");
        self.assigns.push((state, value));
    }

    /// Type of a value.
    pub fn ty(&self, value: ValueId) -> &TensorType {
        &self.values[value.index()].ty
    }

    /// Nodes in topological order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Named results.
    pub fn outputs(&self) -> &[(String, ValueId)] {
        &self.outputs
    }

    /// Pairs of a state and its new value.
    pub fn assigns(&self) -> &[(ValueId, ValueId)] {
        &self.assigns
    }
}
