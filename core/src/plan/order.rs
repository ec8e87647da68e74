//! The order of a plan's steps: that of the graph, but for sums into states, which move up to where what they add is known.
//!
//! A gradient then dies as soon as it is made, and its state has its last value long before the plan ends: what is done
//! with the state afterwards, such as a sum over ranks, may begin then.

use crate::graph::{Graph, Origin, ValueId};
use crate::ops::Op;
use std::collections::BTreeMap;

/// `live`, nodes of `graph` in its order, with every `Accumulate` of a state that nothing else reads right behind the last of its
/// operands.
pub(super) fn sums_first(graph: &Graph, live: Vec<usize>) -> Vec<usize> {
    let mut reads = vec![0usize; graph.values().len()];
    for &node in &live {
        graph.nodes()[node].inputs.iter().for_each(|value| reads[value.index()] += 1);
    }
    graph.outputs().iter().for_each(|(_, value)| reads[value.index()] += 1);
    let origin = |value: &ValueId| &graph.values()[value.index()].origin;
    let mut moved = vec![false; graph.nodes().len()];
    let mut behind: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut order = Vec::with_capacity(live.len());
    for node in live {
        let inputs = &graph.nodes()[node].inputs;
        let alone = |value: &ValueId| matches!(origin(value), Origin::State(_)) && reads[value.index()] == 1;
        let made_by = |value: &ValueId| match origin(value) {
            Origin::Node { node, .. } => Some(*node),
            Origin::Input(_) | Origin::State(_) => None,
        };
        match inputs.iter().filter_map(made_by).max() {
            Some(last)
                if matches!(graph.nodes()[node].op, Op::Accumulate(_))
                    && alone(&inputs[0])
                    && !moved[last] =>
            {
                moved[node] = true;
                behind.entry(last).or_default().push(node);
            }
            _ => order.push(node),
        }
    }
    order
        .into_iter()
        .flat_map(|node| std::iter::once(node).chain(behind.remove(&node).unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::graph::Graph;
    use crate::ops::{Accumulate, Add, Copy};
    use crate::plan::{Plan, PlanOptions};
    use crate::tensor::TensorType;

    /// Names of the ops of the plan of `graph`, in order.
    fn steps(graph: &Graph) -> Vec<&'static str> {
        let plan = Plan::new("order", graph, PlanOptions::default());
        plan.steps.iter().map(|step| step.op.def().name()).collect()
    }

    #[test]
    fn a_sum_into_a_state_follows_what_it_adds_and_frees_it() {
        let mut graph = Graph::new();
        let vector = || TensorType::f32(&[3]);
        let (x, keep) = (graph.input("x", vector()), graph.scalar("keep"));
        let doubled = graph.apply(Add, &[x, x]).expect("an op");
        let again = graph.apply(Add, &[x, x]).expect("an op");
        let more = graph.apply(Add, &[again, x]).expect("an op");
        for (name, value) in [("a", doubled), ("b", more)] {
            let state = graph.state(name, vector());
            let sum = graph.apply(Accumulate, &[state, value, keep]).expect("an op");
            graph.assign(state, sum);
        }
        assert_eq!(steps(&graph), ["add", "accumulate", "add", "add", "accumulate"]);
        let plan = Plan::new("order", &graph, PlanOptions::default());
        assert_eq!([plan.settled("a"), plan.settled("b"), plan.settled("c")], [Some(2), Some(5), None]);
    }

    #[test]
    fn a_state_that_something_else_reads_is_summed_in_its_place() {
        let mut graph = Graph::new();
        let vector = || TensorType::f32(&[3]);
        let (x, keep) = (graph.input("x", vector()), graph.scalar("keep"));
        let doubled = graph.apply(Add, &[x, x]).expect("an op");
        let state = graph.state("a", vector());
        let old = graph.apply(Copy, &[state]).expect("an op");
        graph.output("old", old);
        let sum = graph.apply(Accumulate, &[state, doubled, keep]).expect("an op");
        graph.assign(state, sum);
        assert_eq!(steps(&graph), ["add", "copy", "accumulate"]);
    }

    #[test]
    fn sums_of_sums_keep_their_order() {
        let mut graph = Graph::new();
        let vector = || TensorType::f32(&[3]);
        let (x, keep) = (graph.input("x", vector()), graph.scalar("keep"));
        let mut value = graph.apply(Add, &[x, x]).expect("an op");
        for name in ["a", "b", "c"] {
            let state = graph.state(name, vector());
            value = graph.apply(Accumulate, &[state, value, keep]).expect("an op");
            graph.assign(state, value);
        }
        let plan = Plan::new("order", &graph, PlanOptions::default());
        let settled = ["a", "b", "c"].map(|name| plan.settled(name).expect("a state"));
        assert!(settled.is_sorted(), "{settled:?}");
    }
}
