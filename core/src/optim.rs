//! Optimizers as graphs: one update of all parameters from their accumulated gradients.
//!
//! Order: global-norm clip over every counted gradient, then AdamW, Muon or SGD per group. Moments are states named
//! `m/<parameter>` and `v/<parameter>`. What changes from step to step (schedule, momentum, bias correction) is a
//! run-time scalar, so one plan serves a whole run.

use crate::graph::{Graph, ValueId};
use crate::model::graphs::grad_name;
use crate::ops::{
    AdamW, Average, ClipCoefficient, Copy, LARGEST_BANK, MuonApply, NesterovMomentum, NewtonSchulz, OpError,
    Sgd, SumSquares,
};
use crate::tensor::TensorType;
use std::collections::BTreeMap;

/// Update rule of a group.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Decoupled AdamW.
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Decoupled decay.
        weight_decay: f64,
    },
    /// Muon; matrices only.
    Muon {
        /// Decoupled decay.
        weight_decay: f64,
        /// Decay before the update.
        decay_first: bool,
    },
    /// SGD with momentum.
    Sgd {
        /// Momentum.
        momentum: f64,
    },
}

/// Parameters that share a rule and a learning rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The rule.
    pub rule: Rule,
    /// Learning rate before the schedule's factor.
    pub lr: f64,
    /// Members.
    pub params: Vec<String>,
}

/// An optimizer over some parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimizer {
    /// The groups.
    pub groups: Vec<Group>,
    /// Limit of the global gradient norm; 0 is off.
    pub clip: f64,
    /// Parameters that are not updated but count in the norm.
    pub counted_only: Vec<String>,
}

/// Newton–Schulz iterations of every published system.
pub const NEWTON_SCHULZ_STEPS: usize = 5;

impl Optimizer {
    /// Every parameter that needs a gradient.
    pub fn parameters(&self) -> Vec<String> {
        let members = self.groups.iter().flat_map(|g| g.params.iter());
        members.chain(&self.counted_only).cloned().collect()
    }

    /// `lr_scale[], mu[], bias1[], bias2[] → grad_norm[]` and the update of all states.
    pub fn update_graph(&self, shapes: &BTreeMap<String, Vec<usize>>) -> Result<Graph, OpError> {
        let squares = |graph: &mut Graph, name: &str| {
            let grad = graph.state(&grad_name(name), TensorType::f32(&shapes[name]));
            graph.apply(SumSquares, &[grad])
        };
        self.graph(shapes, squares, |_| true)
    }

    /// `→` the states `squares/p`, the sums of squares of the gradients of the parameters that are `owned`.
    pub fn squares_graph(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        owned: impl Fn(&str) -> bool,
    ) -> Result<Graph, OpError> {
        let mut graph = Graph::new();
        graph.scope("clip");
        for name in self.parameters().iter().filter(|name| owned(name)) {
            let grad = graph.state(&grad_name(name), TensorType::f32(&shapes[name]));
            let state = graph.state(&squares_name(name), TensorType::f32(&[]));
            let squares = graph.apply(SumSquares, &[grad])?;
            graph.assign(state, squares);
        }
        Ok(graph)
    }

    /// [`Optimizer::update_graph`] for a rank that updates only the parameters that are `owned`: the norm is that of the
    /// states `squares/p` of all parameters, added in the same order, so that it has the same bits.
    pub fn owned_update_graph(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        owned: impl Fn(&str) -> bool,
    ) -> Result<Graph, OpError> {
        let squares =
            |graph: &mut Graph, name: &str| Ok(graph.state(&squares_name(name), TensorType::f32(&[])));
        self.graph(shapes, squares, owned)
    }

    fn graph(
        &self,
        shapes: &BTreeMap<String, Vec<usize>>,
        squares: impl Fn(&mut Graph, &str) -> Result<ValueId, OpError>,
        owned: impl Fn(&str) -> bool,
    ) -> Result<Graph, OpError> {
        let mut graph = Graph::new();
        graph.scope("clip");
        let sums: Result<Vec<ValueId>, OpError> =
            self.parameters().iter().map(|name| squares(&mut graph, name)).collect();
        let sums = sums?;
        if sums.is_empty() {
            return Ok(graph);
        }
        let clip = graph.push(ClipCoefficient { limit: self.clip }, &sums)?;
        graph.output("grad_norm", clip[0]);
        for group in &self.groups {
            let names = group.params.iter().map(String::as_str).filter(|name| owned(name));
            group.append(&mut graph, &names.collect::<Vec<_>>(), shapes, clip[1])?;
        }
        Ok(graph)
    }
}

impl Group {
    /// The update of the members `names`. Muon's matrices of one shape take their Newton–Schulz steps together, and so are
    /// all alive between momentum and update.
    fn append(
        &self,
        graph: &mut Graph,
        names: &[&str],
        shapes: &BTreeMap<String, Vec<usize>>,
        clip: ValueId,
    ) -> Result<(), OpError> {
        match self.rule {
            Rule::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let op = AdamW { lr: self.lr, weight_decay, beta1, beta2, epsilon };
                names.iter().try_for_each(|name| append_adamw(graph, &op, name, &shapes[*name], clip))
            }
            Rule::Muon { weight_decay, decay_first } => {
                let op = MuonApply { lr: self.lr, weight_decay, decay_first };
                let banks = by_shape(names.iter().copied(), shapes);
                let banks = banks
                    .iter()
                    .flat_map(|(shape, names)| names.chunks(LARGEST_BANK).map(move |bank| (*shape, bank)));
                banks.into_iter().try_for_each(|(shape, bank)| append_muon(graph, &op, bank, shape, clip))
            }
            Rule::Sgd { momentum } => {
                let op = Sgd { lr: self.lr, momentum };
                names.iter().try_for_each(|name| append_sgd(graph, &op, name, &shapes[*name], clip))
            }
        }
    }
}

fn append_adamw(
    graph: &mut Graph,
    op: &AdamW,
    name: &str,
    shape: &[usize],
    clip: ValueId,
) -> Result<(), OpError> {
    graph.scope(format!("update.{name}"));
    let [p, g, m] = trained(graph, name, shape);
    let v = graph.state(&second_moment_name(name), TensorType::f32(shape));
    let [lr_scale, bias1, bias2] = ["lr_scale", "bias1", "bias2"].map(|name| graph.scalar(name));
    let out = graph.push(op.clone(), &[p, m, v, g, clip, lr_scale, bias1, bias2])?;
    [p, m, v].into_iter().zip(out).for_each(|(state, value)| graph.assign(state, value));
    Ok(())
}

fn append_sgd(
    graph: &mut Graph,
    op: &Sgd,
    name: &str,
    shape: &[usize],
    clip: ValueId,
) -> Result<(), OpError> {
    graph.scope(format!("update.{name}"));
    let [p, g, m] = trained(graph, name, shape);
    let lr_scale = graph.scalar("lr_scale");
    let out = graph.push(op.clone(), &[p, m, g, clip, lr_scale])?;
    [p, m].into_iter().zip(out).for_each(|(state, value)| graph.assign(state, value));
    Ok(())
}

/// All momenta of a bank, its orthogonalization, all its updates.
fn append_muon(
    graph: &mut Graph,
    op: &MuonApply,
    bank: &[&str],
    shape: &[usize],
    clip: ValueId,
) -> Result<(), OpError> {
    let [mu, lr_scale] = ["mu", "lr_scale"].map(|name| graph.scalar(name));
    let (mut weights, mut updates) = (Vec::new(), Vec::new());
    for name in bank {
        graph.scope(format!("update.{name}"));
        let [p, g, m] = trained(graph, name, shape);
        let out = graph.push(NesterovMomentum, &[m, g, clip, mu])?;
        graph.assign(m, out[0]);
        weights.push(p);
        updates.push(out[1]);
    }
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    graph.scope(format!("update.{}", extents.join("x")));
    let orthogonal = graph.push(NewtonSchulz { steps: NEWTON_SCHULZ_STEPS }, &updates)?;
    for ((name, p), o) in bank.iter().zip(weights).zip(orthogonal) {
        graph.scope(format!("update.{name}"));
        let w = graph.apply(op.clone(), &[p, o, lr_scale])?;
        graph.assign(p, w);
    }
    Ok(())
}

/// A parameter, its gradient, and its momentum or first moment.
fn trained(graph: &mut Graph, name: &str, shape: &[usize]) -> [ValueId; 3] {
    [name.to_owned(), grad_name(name), moment_name(name)]
        .map(|state| graph.state(&state, TensorType::f32(shape)))
}

/// `names` by the shapes of the parameters, which are banks where Muon updates them; shapes in the order of their first
/// parameter, and parameters in theirs.
pub fn by_shape<'a>(
    names: impl IntoIterator<Item = &'a str>,
    shapes: &'a BTreeMap<String, Vec<usize>>,
) -> Vec<(&'a [usize], Vec<&'a str>)> {
    let mut banks: Vec<(&[usize], Vec<&str>)> = Vec::new();
    for name in names {
        let shape = shapes[name].as_slice();
        match banks.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, names)) => names.push(name),
            None => banks.push((shape, vec![name])),
        }
    }
    banks
}

/// Name of the state that holds a parameter's momentum or first moment.
pub fn moment_name(parameter: &str) -> String {
    format!("m/{parameter}")
}

/// Name of the state that holds a parameter's second moment.
pub fn second_moment_name(parameter: &str) -> String {
    format!("v/{parameter}")
}

/// Name of the state that holds the sum of squares of a parameter's gradient, where ranks share it.
pub fn squares_name(parameter: &str) -> String {
    format!("squares/{parameter}")
}

/// Name of the state that holds a parameter's average.
pub fn average_name(parameter: &str) -> String {
    format!("average/{parameter}")
}

/// `keep[] →` every state `average/p ← keep·average/p + (1-keep)·p`.
pub fn average_graph(shapes: &BTreeMap<String, Vec<usize>>) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    graph.scope("average");
    let keep = graph.scalar("keep");
    for (name, shape) in shapes {
        let p = graph.state(name, TensorType::f32(shape));
        let mean = graph.state(&average_name(name), TensorType::f32(shape));
        let new = graph.apply(Average, &[mean, p, keep])?;
        graph.assign(mean, new);
    }
    Ok(graph)
}

/// Restarts every average at the current weights.
pub fn average_restart_graph(shapes: &BTreeMap<String, Vec<usize>>) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    graph.scope("average");
    for (name, shape) in shapes {
        let p = graph.state(name, TensorType::f32(shape));
        let mean = graph.state(&average_name(name), TensorType::f32(shape));
        let new = graph.apply(Copy, &[p])?;
        graph.assign(mean, new);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;

    /// The Newton–Schulz steps of a Muon optimizer over `wide` and `tall` matrices, in turns: their labels and sizes.
    fn banks(wide: usize, tall: usize, owned: impl Fn(&str) -> bool) -> Vec<(String, usize)> {
        let mut shapes = BTreeMap::new();
        shapes.extend((0..wide).map(|i| (format!("{i:02}.wide"), vec![2, 3])));
        shapes.extend((0..tall).map(|i| (format!("{i:02}.tall"), vec![3, 2])));
        let rule = Rule::Muon { weight_decay: 0.0, decay_first: true };
        let group = Group { rule, lr: 0.1, params: shapes.keys().cloned().collect() };
        let optimizer = Optimizer { groups: vec![group], clip: 1.0, counted_only: Vec::new() };
        let graph = optimizer.owned_update_graph(&shapes, owned).expect("matrices");
        assert_eq!(graph.assigns().len(), 2 * graph.nodes().iter().filter(|n| is_momentum(&n.op)).count());
        let steps = graph.nodes().iter().filter(|node| matches!(node.op, Op::NewtonSchulz(_)));
        steps.map(|node| (node.label.clone(), node.inputs.len())).collect()
    }

    fn is_momentum(op: &Op) -> bool {
        matches!(op, Op::NesterovMomentum(_))
    }

    #[test]
    fn matrices_of_one_shape_take_their_newton_schulz_steps_together() {
        let label = |shape: &str| format!("update.{shape}");
        assert_eq!(banks(3, 2, |_| true), [(label("3x2"), 2), (label("2x3"), 3)]);
        assert_eq!(banks(3, 2, |name| name.starts_with("02")), [(label("2x3"), 1)]);
        let many = LARGEST_BANK + 1;
        assert_eq!(banks(many, 0, |_| true), [(label("2x3"), LARGEST_BANK), (label("2x3"), 1)]);
    }
}
