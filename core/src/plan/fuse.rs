//! Rewrites of neighbouring nodes into one op that saves a pass over memory: an ordered table, one row per rewrite.
//!
//! Fusion runs after differentiation and before placement. A rewrite looks at one node and, when a neighbour of it is the
//! right op and nobody else needs to see what passes between them, names an op that does both at once. Rewrites go over the
//! whole graph one after the other, so that a later one may continue what an earlier one began. A rewrite never changes what is
//! computed, and every one can be switched off, to find the one at fault. It invents no code: a fused op is an op
//! like any other, with its own definition and kernels.

use super::slots::live_nodes;
use crate::graph::{Graph, Node, Origin, ValueId};
use crate::ops::{
    Linear, LinearActivation, LinearAdd, LinearAddScaled, LinearForm, LinearResidual, Op, ResidualMix,
    ResidualMixNorm, ResidualMixNormGrad, ResidualMixNormGradAdd, RmsNormGradAdd,
};

/// What stands in the place of a node, and does the work of one other node too.
struct Fused {
    op: Op,
    inputs: Vec<ValueId>,
    /// Which values its results are.
    outputs: Vec<ValueId>,
    /// A result of the other node.
    absorbed: ValueId,
}

/// One row of the table.
struct Rewrite {
    name: &'static str,
    /// The fused form of the node, if it is the one of this rewrite's pattern whose place the fused op takes.
    apply: fn(&Uses<'_>, &Node) -> Option<Fused>,
}

/// All rewrites, in the order in which they go over a graph. Where a block's norm takes its mix along, the mix is formed again in
/// the backward pass; so what joins the stream may often overwrite it, and these rewrites come first.
const REWRITES: &[Rewrite] = &[
    Rewrite { name: "rms_norm_grad_add", apply: rms_norm_grad_add },
    Rewrite { name: "residual_mix_norm_grad", apply: residual_mix_norm_grad },
    Rewrite { name: "residual_mix_norm_grad_add", apply: residual_mix_norm_grad_add },
    Rewrite { name: "residual_mix_norm", apply: residual_mix_norm },
    Rewrite { name: "linear_activation", apply: linear_activation },
    Rewrite { name: "linear_add_scaled", apply: linear_add_scaled },
    Rewrite { name: "linear_add", apply: linear_add },
    Rewrite { name: "linear_residual", apply: linear_residual },
];

/// Which rewrites run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fusion(u32);

impl Fusion {
    /// Every rewrite.
    pub const ALL: Fusion = Fusion(u32::MAX);
    /// No rewrite.
    pub const NONE: Fusion = Fusion(0);

    /// Names of all rewrites, in the order in which they go over a graph.
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
    /// The live nodes that read a value, once per operand, in order; `None` for an output or an assigned state.
    readers: Vec<Vec<Option<&'a Node>>>,
}

impl<'a> Uses<'a> {
    /// Those of a graph without dead nodes.
    fn of(graph: &'a Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.values().len()];
        for node in graph.nodes() {
            node.inputs.iter().for_each(|value| readers[value.index()].push(Some(node)));
        }
        graph.outputs().iter().for_each(|(_, value)| readers[value.index()].push(None));
        graph.assigns().iter().for_each(|(_, value)| readers[value.index()].push(None));
        Self { graph, readers }
    }

    /// The node that makes `value`.
    fn maker(&self, value: ValueId) -> Option<&'a Node> {
        match self.graph.values()[value.index()].origin {
            Origin::Node { node, .. } => Some(&self.graph.nodes()[node]),
            Origin::Input(_) | Origin::State(_) => None,
        }
    }

    /// The node that makes `value`, when `value` is read once.
    fn only_for_this(&self, value: ValueId) -> Option<&'a Node> {
        self.maker(value).filter(|_| self.readers[value.index()].len() == 1)
    }

    /// Whether a node makes `value` and `node` is the last to read it, so that it may be overwritten.
    fn dies_at(&self, value: ValueId, node: &Node) -> bool {
        let last = self.readers[value.index()].last();
        let own = |reader: &Option<&Node>| reader.is_some_and(|reader| reader.outputs == node.outputs);
        self.maker(value).is_some() && last.is_some_and(own)
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
    let op = LinearActivation { slope: activation.slope }.into();
    Some(Fused { op, inputs, outputs: node.outputs.clone(), absorbed })
}

/// `x + scale ⊙ (a·wᵀ)`.
fn linear_add_scaled(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::AddScaled(_) = &node.op else { return None };
    let absorbed = node.inputs[2];
    let [a, w] = uses.product(absorbed)?;
    let inputs = vec![node.inputs[0], node.inputs[1], a, w];
    Some(Fused { op: LinearAddScaled.into(), inputs, outputs: node.outputs.clone(), absorbed })
}

/// `x + a·wᵀ`, where `x` stays.
fn linear_residual(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::Add(_) = &node.op else { return None };
    let [left, right] = [node.inputs[0], node.inputs[1]];
    let fused = |x: ValueId, absorbed: ValueId| {
        let [a, w] = uses.product(absorbed)?;
        Some(Fused {
            op: LinearResidual.into(),
            inputs: vec![x, a, w],
            outputs: node.outputs.clone(),
            absorbed,
        })
    };
    fused(left, right).or_else(|| fused(right, left))
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
        let (op, outputs) = (add(&term.op)?, node.outputs.clone());
        Some(Fused { op, inputs: vec![term.inputs[0], term.inputs[1], sum], outputs, absorbed })
    };
    fused(left, right).or_else(|| fused(right, left))
}

/// A mix, which stays, and its norm, in the place of the mix.
fn residual_mix_norm(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::ResidualMix(_) = &node.op else { return None };
    let m = node.outputs[0];
    let norms = uses.readers[m.index()].iter().flatten().filter_map(|reader| match &reader.op {
        Op::RmsNorm(norm) => Some((norm.scale, reader.outputs[0])),
        _ => None,
    });
    let (scale, h) = norms.into_iter().next()?;
    let op = ResidualMixNorm { scale }.into();
    Some(Fused { op, inputs: node.inputs.clone(), outputs: vec![m, h], absorbed: h })
}

/// The gradient of a mix, of which the norm's part is added where it is read.
fn residual_mix_norm_grad(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::ResidualMixGrad(_) = &node.op else { return None };
    let (mix, absorbed) = (&node.inputs[..3], node.inputs[3]);
    let norm = uses.only_for_this(absorbed)?;
    let Op::RmsNormGradAdd(add) = &norm.op else { return None };
    // What was normalized is the same mix, which can be formed again.
    let normalized = uses.maker(norm.inputs[0])?;
    if normalized.op != Op::from(ResidualMix) || normalized.inputs != mix {
        return None;
    }
    let inputs = [mix, &norm.inputs[1..]].concat();
    let op = ResidualMixNormGrad { scale: add.grad.scale }.into();
    Some(Fused { op, inputs, outputs: node.outputs.clone(), absorbed })
}

/// The same, added to what the stem's gradient has from later blocks: the sum takes place with its term.
fn residual_mix_norm_grad_add(uses: &Uses<'_>, node: &Node) -> Option<Fused> {
    let Op::ResidualMixNormGrad(grad) = &node.op else { return None };
    let [dx, dx0, dmix] = node.outputs[..] else { unreachable!("three results") };
    let [Some(add)] = uses.readers[dx0.index()][..] else { return None };
    let Op::Add(_) = &add.op else { return None };
    let sum = if add.inputs[0] == dx0 { add.inputs[1] } else { add.inputs[0] };
    // It is there before this node, and only for this.
    uses.only_for_this(sum).filter(|_| sum.index() < dx.index())?;
    let (op, total) = (ResidualMixNormGradAdd { grad: grad.clone() }.into(), add.outputs[0]);
    let inputs = [&node.inputs[..], &[sum]].concat();
    Some(Fused { op, inputs, outputs: vec![dx, total, dmix], absorbed: total })
}

/// The live part of `graph` with the rewrites of `fusion` applied.
pub(super) fn fuse(graph: &Graph, fusion: Fusion) -> Graph {
    let mut live = vec![false; graph.nodes().len()];
    live_nodes(graph).into_iter().for_each(|node| live[node] = true);
    let untouched: Vec<Option<Fused>> = live.iter().map(|_| None).collect();
    let graph = rebuild(graph, &untouched, &live);
    let rewrites = REWRITES.iter().enumerate().filter(|(row, _)| fusion.has(*row));
    rewrites.fold(graph, |graph, (_, rewrite)| rewritten(&graph, rewrite))
}

/// `graph`, which has no dead nodes, with one rewrite applied wherever it fits.
fn rewritten(graph: &Graph, rewrite: &Rewrite) -> Graph {
    let uses = Uses::of(graph);
    let fused: Vec<Option<Fused>> = graph.nodes().iter().map(|node| (rewrite.apply)(&uses, node)).collect();
    let mut kept = vec![true; graph.nodes().len()];
    for absorbed in fused.iter().flatten().map(|fused| fused.absorbed) {
        if let Origin::Node { node, .. } = graph.values()[absorbed.index()].origin {
            kept[node] = false;
        }
    }
    rebuild(graph, &fused, &kept)
}

/// The graph value by value, which keeps the order of inputs, states and nodes, without the nodes that are not `kept`.
fn rebuild(graph: &Graph, fused: &[Option<Fused>], kept: &[bool]) -> Graph {
    let mut new = Graph::new();
    let mut renamed: Vec<Option<ValueId>> = vec![None; graph.values().len()];
    for (index, value) in graph.values().iter().enumerate() {
        match &value.origin {
            Origin::Input(name) => renamed[index] = Some(new.input(name, value.ty.clone())),
            Origin::State(name) => renamed[index] = Some(new.state(name, value.ty.clone())),
            // The results of a node follow each other, and all are made with the first.
            Origin::Node { node, result } if *result > 0 || !kept[*node] => {}
            Origin::Node { node, .. } => {
                let old = &graph.nodes()[*node];
                let (op, inputs, outputs) = match &fused[*node] {
                    Some(fused) => (&fused.op, &fused.inputs, &fused.outputs),
                    None => (&old.op, &old.inputs, &old.outputs),
                };
                let inputs: Vec<ValueId> = inputs.iter().map(|v| present(&renamed, *v)).collect();
                new.scope(old.label.as_str());
                let results = new.push(op.clone(), &inputs).expect("a fused op takes what its parts took");
                outputs.iter().zip(results).for_each(|(old, made)| renamed[old.index()] = Some(made));
            }
        }
    }
    graph.outputs().iter().for_each(|(output, value)| new.output(output, present(&renamed, *value)));
    let assigns = graph.assigns().iter().map(|(s, v)| (present(&renamed, *s), present(&renamed, *v)));
    assigns.for_each(|(state, value)| new.assign(state, value));
    new
}

fn present(renamed: &[Option<ValueId>], value: ValueId) -> ValueId {
    renamed[value.index()]
        .expect("nothing reads a value that is no longer made, and a fused one is made before it is read")
}
