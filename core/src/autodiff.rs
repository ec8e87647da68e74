//! Reverse-mode differentiation, graph to graph.
//!
//! Gradients are ordinary nodes appended to the same graph, built only on paths from the wanted values to the loss;
//! several uses of a value are joined by an explicit `add`, in node order, so that the sum's order never varies.

use crate::graph::{Graph, Origin, ValueId};
use crate::ops::{Add, Constant, OpError, Site};

/// Appends the gradient of the scalar `loss` towards each of `wrt`; `None` where the loss does not depend on it.
pub fn gradients(graph: &mut Graph, loss: ValueId, wrt: &[ValueId]) -> Result<Vec<Option<ValueId>>, OpError> {
    let wanted = reachable_from(graph, wrt);
    let mut grads: Vec<Option<ValueId>> = vec![None; graph.values().len()];
    if wanted[loss.index()] {
        grads[loss.index()] = Some(graph.apply(Constant { value: 1.0 }, &[])?);
    }
    for index in (0..producers(&wanted, graph)).rev() {
        let node = graph.nodes()[index].clone();
        let towards: Vec<bool> = node.inputs.iter().map(|v| wanted[v.index()]).collect();
        let given: Vec<Option<ValueId>> = node.outputs.iter().map(|v| grads[v.index()]).collect();
        if given[0].is_none() || !towards.contains(&true) {
            continue;
        }
        graph.scope(format!("{}.grad", node.label));
        let site = Site { inputs: &node.inputs, outputs: &node.outputs, grads: &given, wanted: &towards };
        let contributions = node.op.def().grad(graph, &site)?;
        for ((operand, wanted), contribution) in node.inputs.iter().zip(&towards).zip(contributions) {
            let (true, Some(new)) = (wanted, contribution) else { continue };
            let slot = &mut grads[operand.index()];
            *slot = Some(match *slot {
                Some(sum) => graph.apply(Add, &[sum, new])?,
                None => new,
            });
        }
    }
    Ok(wrt.iter().map(|v| grads[v.index()]).collect())
}

/// For every value, whether it depends on one of `sources`.
fn reachable_from(graph: &Graph, sources: &[ValueId]) -> Vec<bool> {
    let mut reached = vec![false; graph.values().len()];
    sources.iter().for_each(|v| reached[v.index()] = true);
    for node in graph.nodes() {
        if node.inputs.iter().any(|v| reached[v.index()]) {
            node.outputs.iter().for_each(|v| reached[v.index()] = true);
        }
    }
    reached
}

/// One past the last node that existed when `wanted` was computed: gradient nodes are not differentiated again.
fn producers(wanted: &[bool], graph: &Graph) -> usize {
    let made = graph.values()[..wanted.len()].iter().filter_map(|v| match v.origin {
        Origin::Node { node, .. } => Some(node + 1),
        _ => None,
    });
    made.max().unwrap_or(0)
}
