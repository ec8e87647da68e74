//! Launches of one kernel over tensors that have nothing to do with each other, joined into one launch over all of them: an
//! update of a model is a few launches, however many parameters there are.
//!
//! Invariant: what is joined has the bits of what is launched one by one. A launch moves up to an earlier one only if neither
//! that one nor any between them writes what it reads or writes, or reads what it writes.

use crate::pending::Placed;

/// The same work in as few launches. One that is joined to another belongs to that one's step.
pub(crate) fn join(launches: Vec<Placed>) -> Vec<Placed> {
    let mut joined: Vec<Placed> = Vec::with_capacity(launches.len());
    for placed in launches {
        match host(&joined, &placed) {
            Some(at) => take(&mut joined[at], placed),
            None => joined.push(placed),
        }
    }
    joined
}

/// The launch among those before that can do the work of `placed` with its own.
fn host(before: &[Placed], placed: &Placed) -> Option<usize> {
    if placed.rows.is_empty() {
        return None;
    }
    let in_the_way = before.iter().rposition(|earlier| conflict(earlier, placed));
    let reachable = in_the_way.map_or(0, |at| at + 1);
    let found = before[reachable..].iter().rposition(|earlier| are_alike(earlier, placed));
    found.map(|at| reachable + at)
}

/// Whether all but the rows is the same.
fn are_alike(a: &Placed, b: &Placed) -> bool {
    std::ptr::eq(a.launch.kernel, b.launch.kernel)
        && a.launch.storage == b.launch.storage
        && a.places == b.places
        && a.launch.params == b.launch.params
}

/// Whether one writes what the other reads or writes.
fn conflict(a: &Placed, b: &Placed) -> bool {
    let writes = |a: &Placed, b: &Placed| {
        a.touched().any(|(written, place)| written && b.touched().any(|(_, other)| other == place))
    };
    writes(a, b) || writes(b, a)
}

fn take(host: &mut Placed, placed: Placed) {
    host.launch.blocks += placed.launch.blocks;
    host.rows.extend(placed.rows);
    if placed.step != host.step {
        host.joined.push(placed.step);
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::{Precision, Products};
    use crate::pending::{Options, Pending};
    use golf_core::graph::Graph;
    use golf_core::model::parameters;
    use golf_core::ops::{Add, Average};
    use golf_core::optim::average_graph;
    use golf_core::plan::{Plan, PlanOptions};
    use golf_core::tensor::TensorType;
    use golf_core::train::{groups, preset};
    use std::collections::BTreeMap;

    /// Entries of the launches of `graph`, in order.
    fn entries(graph: &Graph, apart: bool, products: &Products) -> Vec<&'static str> {
        let plan = Plan::new("test", graph, PlanOptions::default());
        let options = Options { precision: Precision::Bf16, apart, ..Options::default() };
        let pending = Pending::of(&plan, options, products);
        assert!(pending.launches.is_sorted_by_key(|placed| placed.step), "steps are in order");
        pending.launches.iter().map(|placed| placed.launch.kernel.entry).collect()
    }

    /// Graphs of the update and of the average of `preset`.
    fn graphs(name: &str) -> [Graph; 2] {
        let preset = preset(name, false).expect("a preset");
        let shapes: BTreeMap<_, _> =
            parameters(&preset.model).into_iter().map(|p| (p.name, p.shape)).collect();
        let optimizer = groups::optimizer(&preset.model, &preset.recipe);
        [optimizer.update_graph(&shapes), average_graph(&shapes)].map(|graph| graph.expect("a valid model"))
    }

    #[test]
    fn an_update_is_a_few_launches() {
        let library = Products::Library { refused: Default::default() };
        // All but five or six are Newton–Schulz steps, momenta and updates of a bank each. Before there were rows it was 634, 786
        // and 955.
        for (name, apart, own) in [("baseline", 443, 125), ("pr549", 542, 125), ("pr861", 693, 216)] {
            let [update, average] = graphs(name);
            assert_eq!(entries(&update, true, &Products::Own).len(), apart, "{name}");
            assert_eq!(entries(&update, false, &Products::Own).len(), own, "{name}");
            assert_eq!(entries(&update, false, &library).len(), own, "{name}");
            assert_eq!(entries(&average, false, &library), ["average"], "{name}");
        }
    }

    #[test]
    fn every_kernel_over_tensors_is_launched_once_per_bank_or_group() {
        let [update, _] = graphs("pr549");
        let entries = entries(&update, false, &Products::Own);
        let count = |entry| entries.iter().filter(|&&e| e == entry).count();
        let per_bank = [
            "nesterov_momentum",
            "newton_schulz_squares",
            "newton_schulz_stack",
            "newton_schulz_result",
            "muon_apply",
        ];
        assert_eq!(per_bank.map(count), [4; 5]);
        assert_eq!(["square_pieces", "sum_all", "clip_coefficient", "adamw"].map(count), [1, 1, 1, 2]);
    }

    /// Entries of a graph that averages three pairs of states, with something between them.
    fn averages(between: impl Fn(&mut Graph, usize)) -> Vec<&'static str> {
        let mut graph = Graph::new();
        let keep = graph.scalar("keep");
        for i in 0..3 {
            let [mean, x] =
                ["mean", "x"].map(|name| graph.state(&format!("{name}{i}"), TensorType::f32(&[5])));
            let new = graph.apply(Average, &[mean, x, keep]).expect("the operands fit");
            graph.assign(mean, new);
            between(&mut graph, i);
        }
        entries(&graph, false, &Products::Own)
    }

    #[test]
    fn what_is_between_stands_in_the_way_only_if_it_matters() {
        assert_eq!(averages(|_, _| ()), ["average"]);
        // A sum of other states goes into a third.
        let sum_of = |graph: &mut Graph, operand: &str, result: &str| {
            let [x, y] = [operand, result].map(|name| graph.state(name, TensorType::f32(&[5])));
            let sum = graph.apply(Add, &[x, x]).expect("the operands fit");
            graph.assign(y, sum);
        };
        let unrelated = averages(|graph, i| sum_of(graph, "other", &format!("sum{i}")));
        assert_eq!(unrelated[0], "average");
        assert_eq!(unrelated.iter().filter(|entry| **entry == "average").count(), 1, "{unrelated:?}");
    }

    #[test]
    fn a_tensor_that_is_written_is_not_joined_to_its_reader() {
        let mut graph = Graph::new();
        let keep = graph.scalar("keep");
        let [a, b, c] = ["a", "b", "c"].map(|name| graph.state(name, TensorType::f32(&[5])));
        // The second reads what the first wrote; the third has nothing to do with the first, but reads what the second writes.
        let first = graph.apply(Average, &[a, b, keep]).expect("the operands fit");
        let second = graph.apply(Average, &[c, first, keep]).expect("the operands fit");
        let [d, e] = ["d", "e"].map(|name| graph.state(name, TensorType::f32(&[5])));
        let third = graph.apply(Average, &[d, second, keep]).expect("the operands fit");
        let fourth = graph.apply(Average, &[e, b, keep]).expect("the operands fit");
        for (state, value) in [(a, first), (c, second), (d, third), (e, fourth)] {
            graph.assign(state, value);
        }
        // The fourth joins the last that it meets.
        assert_eq!(entries(&graph, false, &Products::Own), ["average"; 3]);
        assert_eq!(entries(&graph, true, &Products::Own), ["average"; 4]);
    }
}
