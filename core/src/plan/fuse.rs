//! Rewrites of neighbouring nodes into one op that saves a pass over memory: an ordered table, one row per rewrite.
//!
//! Fusion runs after differentiation and before placement. A rewrite looks at one node and, when the value it reads is
//! computed by the right op and read by nobody else, names an op that does both at once. It never changes what is
//! computed, and every rewrite can be switched off, to find the one at fault. It invents no code: a fused op is an op
//! like any other, with its own definition and kernels.

use super::slots::live_nodes;
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::ops::{Linear, LinearActivation, LinearAdd, LinearAddScaled, LinearForm, Op, RmsNormGradAdd};

/// What stands in the place of a node and of the one node that it absorbs.
struct Fused {
    op: Op,
    inputs: Vec<ValueId>,
    /// The value that is no longer computed.
    absorbed: ValueId,
}

/// One row of the table.
struct Rewrite {
    name: &'static str,
    /// The fused form of the node, if it is the end of this rewrite's pattern.
    apply: fn(&Uses<'_>, &Node) -> Option<Fused>,
}

/// All rewrites, in the order in which they are tried on a node; the first that fits is taken.
const REWRITES: &[Rewrite] = &[
    Rewrite { name: "linear_activation", apply: linear_activation },
    Rewrite { name: "linear_add_scaled", apply: linear_add_scaled },
    Rewrite { name: "linear_add", apply: linear_add },
    Rewrite { name: "rms_norm_grad_add", apply: rms_norm_grad_add },
];

/// Which rewrites run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fusion(u32);

impl Fusion {
    /// Every rewrite.
    pub const ALL: Fusion = Fusion(u32::MAX);
    /// No rewrite.
    pub const NONE: Fusion = Fusion(0);

    /// Names of all rewrites, in the order in which they are tried.
    pub fn names() -> impl Iterator<Item = &'static str> {
        REWRITES.iter().map(|rewrite| rewrite.name)
    }

    /// The same but for the rewrite `name`; `None` when there is none of this name.
    pub fn without(self, name: &str) -> Option<Fusion> {
        Self::names().position(|n| n == name).map(|row| Fusion(self.0 & !(1 << row)))
    }

    fn has(self, row: usize) -> bool {
        self.0 & (1 << row) != 0
    }
}

/// A graph with what is read in it.
struct Uses<'a> {
    graph: &'a Graph,
    /// Whether a result of the run depends on the node.
    live: Vec<bool>,
    /// How many operands of live nodes, outputs and assigned states every value is.
    readers: Vec<usize>,
    /// The first result of the last live node that reads a value; `None` for one that is kept longer.
    last: Vec<Option<ValueId>>,
}

impl<'a> Uses<'a> {
    fn of(graph: &'a Graph) -> Self {
        let (mut live, mut readers) = (vec![false; graph.nodes().len()], vec![0; graph.values().len()]);
        let mut last = vec![None; graph.values().len()];
        let mut read = |value: &ValueId, by: Option<ValueId>| {
            readers[value.index()] += 1;
            last[value.index()] = by;
        };
        for node in live_nodes(graph) {
            live[node] = true;
            let Node { inputs, outputs, .. } = &graph.nodes()[node];
            inputs.iter().for_each(|value| read(value, Some(outputs[0])));
        }
        graph.outputs().iter().for_each(|(_, value)| read(value, None));
        graph.assigns().iter().for_each(|(_, value)| read(value, None));
        Self { graph, live, readers, last }
    }

    /// The node that makes `value`, when `value` is read once.
    fn only_for_this(&self, value: ValueId) -> Option<&'a Node> {
        let Origin::Node { node, .. } = self.graph.values()[value.index()].origin else { return None };
        (self.readers[value.index()] == 1).then(|| &self.graph.nodes()[node])
    }

    /// Whether a node makes `value` and `node` is the last to read it, so that it may be overwritten.
    fn dies_at(&self, value: ValueId, node: &Node) -> bool {
        let made = matches!(self.graph.values()[value.index()].origin, Origin::Node { .. });
        made && self.last[value.index()] == Some(node.outputs[0])
    }

    /// The operands of the product `a·wᵀ` that makes `value`, when `value` is read once.
    fn product(&self, value: ValueId) -> Option<[ValueId; 2]> {
        let node = self.only_for_this(value)?;
        (node.op == Op::from(Linear::NT)).then(|| [node.inputs[0], node.inputs[1]])
    }
}

/// `leaky²(a·wᵀ)`.
fn linear_activation(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::LeakyReluSquared(activation) = &node.op else { return None };
    let absorbed = node.inputs[0];
    let inputs = uses.product(absorbed)?.to_vec();
    Some(Fused { op: LinearActivation { slope: activation.slope }.into(), inputs, absorbed })
}

/// `x + scale ⊙ (a·wᵀ)`.
fn linear_add_scaled(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::AddScaled(_) = &node.op else { return None };
    let absorbed = node.inputs[2];
    let [a, w] = uses.product(absorbed)?;
    Some(Fused { op: LinearAddScaled.into(), inputs: vec![node.inputs[0], node.inputs[1], a, w], absorbed })
}

/// `sum + a·b`, in place.
fn linear_add(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    added_in_place(uses, node, |term| match term {
        Op::Linear(linear) if linear.form != LinearForm::Tn => {
            Some(LinearAdd { linear: linear.clone() }.into())
        }
        _ => None,
    })
}

/// `sum + dx`, in place.
fn rms_norm_grad_add(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    added_in_place(uses, node, |term| match term {
        Op::RmsNormGrad(grad) => Some(RmsNormGradAdd { grad: grad.clone() }.into()),
        _ => None,
    })
}

/// The sum of a value that dies here and of a term of two operands, where `add` names the op that adds such a term.
fn added_in_place(uses: &Uses<'_>, node: &Node, add: fn(&Op) -> Option<Op>) -> Option<Fused> {
    let Op::Add(_) = &node.op else { return None };
    let [left, right] = [node.inputs[0], node.inputs[1]];
    let fused = |sum: ValueId, absorbed: ValueId| {
        let term = uses.only_for_this(absorbed).filter(|_| uses.dies_at(sum, node))?;
        Some(Fused { op: add(&term.op)?, inputs: vec![term.inputs[0], term.inputs[1], sum], absorbed })
    };
    fused(left, right).or_else(|| fused(right, left))
}

/// The live part of `graph` with the rewrites of `fusion` applied; a fused node stands where the last node of its
/// pattern stood.
pub(super) fn fuse(graph: &Graph, fusion: Fusion) -> Graph {
    let uses = Uses::of(graph);
    let rewrites: Vec<&Rewrite> =
        REWRITES.iter().enumerate().filter(|(row, _)| fusion.has(*row)).map(|(_, rewrite)| rewrite).collect();
    let find = |node: &Node| rewrites.iter().find_map(|rewrite| (rewrite.apply)(&uses, node));
    let nodes = graph.nodes().iter().zip(&uses.live);
    let fused: Vec<Option<Fused>> = nodes.map(|(node, live)| if *live { find(node) } else { None }).collect();
    let mut gone = vec![false; graph.values().len()];
    let dead = graph.nodes().iter().zip(&uses.live).filter(|(_, live)| !**live);
    dead.flat_map(|(node, _)| &node.outputs).for_each(|value| gone[value.index()] = true);
    fused.iter().flatten().for_each(|fused| gone[fused.absorbed.index()] = true);
    rebuild(graph, &fused, &gone)
}

/// The graph value by value, which keeps the order of inputs, states and nodes, without the values that are `gone`.
fn rebuild(graph: &Graph, fused: &[Option<Fused>], gone: &[bool]) -> Graph {
    let mut new = Graph::new();
    let mut renamed: Vec<Option<ValueId>> = Vec::with_capacity(graph.values().len());
    for (index, value) in graph.values().iter().enumerate() {
        match &value.origin {
            Origin::Input(name) => renamed.push(Some(new.input(name, value.ty.clone()))),
            Origin::State(name) => renamed.push(Some(new.state(name, value.ty.clone()))),
            Origin::Node { .. } if gone[index] => renamed.push(None),
            // The results of a node follow each other, and all were made with the first.
            Origin::Node { result, .. } if *result > 0 => {}
            Origin::Node { node, .. } => {
                let old = &graph.nodes()[*node];
                let (op, inputs) = match &fused[*node] {
                    Some(fused) => (&fused.op, &fused.inputs),
                    None => (&old.op, &old.inputs),
                };
                let inputs: Vec<ValueId> = inputs.iter().map(|v| present(&renamed, *v)).collect();
                new.scope(old.label.as_str());
                let results = new.push(op.clone(), &inputs).expect("a fused op takes what its parts took");
                renamed.extend(results.into_iter().map(Some));
            }
        }
    }
    graph.outputs().iter().for_each(|(output, value)| new.output(output, present(&renamed, *value)));
    let assigns = graph.assigns().iter().map(|(s, v)| (present(&renamed, *s), present(&renamed, *v)));
    assigns.for_each(|(state, value)| new.assign(state, value));
    new
}

fn present(renamed: &[Option<ValueId>], value: ValueId) -> ValueId {
    renamed[value.index()].expect("nothing live reads a dead value, and only its fused node an absorbed one")
}
