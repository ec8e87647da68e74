//! Optimizers as graphs: one update of all parameters from their accumulated gradients.
//!
//! Order: global-norm clip over every counted gradient, then AdamW, Muon or SGD per group. Moments are states named
//! `m/<parameter>` and `v/<parameter>`. What changes from step to step (schedule, momentum, bias correction) is a
//! run-time scalar, so one plan serves a whole run.

use crate::graph::{Graph, ValueId};
use crate::model::graphs::grad_name;
use crate::ops::{
    AdamW, Add, Average, ClipCoefficient, Copy, MuonApply, NesterovMomentum, NewtonSchulz, OpError, Sgd,
    SumSquares,
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
        let mut sum: Option<ValueId> = None;
        for name in self.parameters() {
            let squares = squares(&mut graph, &name)?;
            sum = Some(match sum {
                Some(sum) => graph.apply(Add, &[sum, squares])?,
                None => squares,
            });
        }
        let Some(sum) = sum else { return Ok(graph) };
        let clip = graph.push(ClipCoefficient { limit: self.clip }, &[sum])?;
        graph.output("grad_norm", clip[0]);
        for group in &self.groups {
            for name in group.params.iter().filter(|name| owned(name)) {
                graph.scope(format!("update.{name}"));
                group.append(&mut graph, name, &shapes[name], clip[1])?;
            }
        }
        Ok(graph)
    }
}

impl Group {
    fn append(&self, graph: &mut Graph, name: &str, shape: &[usize], clip: ValueId) -> Result<(), OpError> {
        let ty = TensorType::f32(shape);
        let p = graph.state(name, ty.clone());
        let g = graph.state(&grad_name(name), ty.clone());
        let m = graph.state(&moment_name(name), ty.clone());
        let lr_scale = graph.scalar("lr_scale");
        match self.rule {
            Rule::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let v = graph.state(&second_moment_name(name), ty);
                let (bias1, bias2) = (graph.scalar("bias1"), graph.scalar("bias2"));
                let op = AdamW { lr: self.lr, weight_decay, beta1, beta2, epsilon };
                let out = graph.push(op, &[p, m, v, g, clip, lr_scale, bias1, bias2])?;
                [p, m, v].into_iter().zip(out).for_each(|(state, value)| graph.assign(state, value));
            }
            Rule::Muon { weight_decay, decay_first } => {
                let mu = graph.scalar("mu");
                let out = graph.push(NesterovMomentum, &[m, g, clip, mu])?;
                graph.assign(m, out[0]);
                let o = graph.apply(NewtonSchulz { steps: NEWTON_SCHULZ_STEPS }, &[out[1]])?;
                let w =
                    graph.apply(MuonApply { lr: self.lr, weight_decay, decay_first }, &[p, o, lr_scale])?;
                graph.assign(p, w);
            }
            Rule::Sgd { momentum } => {
                let out = graph.push(Sgd { lr: self.lr, momentum }, &[p, m, g, clip, lr_scale])?;
                [p, m].into_iter().zip(out).for_each(|(state, value)| graph.assign(state, value));
            }
        }
        Ok(())
    }
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
