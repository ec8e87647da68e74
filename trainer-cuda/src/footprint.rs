//! How much memory a plan takes on a device: known from the plan alone, without a device.

use crate::lower::{Precision, Products};
use crate::pending::{Options, Pending};
use golf_core::plan::{Plan, SlotKind};
use std::collections::HashSet;

/// Bytes that a library works in, once per device: what NVIDIA recommends for Hopper.
pub(crate) const WORKSPACE: usize = 32 << 20;

/// Bytes of buffers by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Parameters, moments and other states; shared between plans.
    pub states: u64,
    /// Inputs of a run.
    pub inputs: u64,
    /// Values between steps.
    pub values: u64,
    /// Scratch memory inside steps, operands in bf16 and tables of rows among it, and what a library works in.
    pub scratch: u64,
}

impl Footprint {
    /// Footprint of `plan` with products of this precision; those in bf16 by a library, which takes more than our kernels.
    pub fn of(plan: &Plan, precision: Precision) -> Footprint {
        let mut footprint = Footprint::default();
        let products = Products::Library { refused: HashSet::new() };
        let pending = Pending::of(plan, Options { precision, ..Options::default() }, &products);
        for (slot, &words) in plan.slots.iter().zip(&pending.slots) {
            let bytes = 4 * words as u64;
            match slot.kind {
                SlotKind::State(_) => footprint.states += bytes,
                SlotKind::Input(_) => footprint.inputs += bytes,
                SlotKind::Scratch => footprint.values += bytes,
            }
        }
        let scratch = pending.scratch.iter().chain(&pending.partials).chain(&pending.rounded);
        footprint.scratch = 4 * (scratch.sum::<usize>() + pending.table_words()) as u64;
        if pending.launches.iter().any(|placed| placed.launch.gemm.is_some()) {
            footprint.scratch += WORKSPACE as u64;
        }
        footprint
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.states + self.inputs + self.values + self.scratch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golf_core::graph::Graph;
    use golf_core::ops::EmbedGrad;
    use golf_core::plan::PlanOptions;
    use golf_core::tensor::TensorType;

    #[test]
    fn buffers_are_counted_by_their_use() {
        let mut graph = Graph::new();
        let ids = graph.input("ids", TensorType::i32(&[10]));
        let dy = graph.input("dy", TensorType::f32(&[10, 3]));
        let grad = graph.push(EmbedGrad { rows: 7 }, &[ids, dy]).expect("the operands fit")[0];
        graph.output("grad", grad);
        let footprint = Footprint::of(&Plan::new("test", &graph, PlanOptions::default()), Precision::F32);
        let want = Footprint { states: 0, inputs: 4 * 40, values: 4 * 21, scratch: 4 * (10 + 8) };
        assert_eq!(footprint, want);
        assert_eq!(footprint.total(), 4 * 79);
    }
}
