//! How much memory a plan takes on a device: known from the plan alone, without a device.

use crate::kernels;
use crate::lower::{Lowering, Precision};
use golf_core::plan::{Plan, SlotKind};

/// Bytes of buffers by use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Parameters, moments and other states; shared between plans.
    pub states: u64,
    /// Inputs of a run.
    pub inputs: u64,
    /// Values between steps.
    pub values: u64,
    /// Scratch memory inside steps.
    pub scratch: u64,
}

impl Footprint {
    /// Footprint of `plan` with products of this precision.
    pub fn of(plan: &Plan, precision: Precision) -> Footprint {
        let mut footprint = Footprint::default();
        for slot in &plan.slots {
            let bytes = 4 * slot.words as u64;
            match slot.kind {
                SlotKind::State(_) => footprint.states += bytes,
                SlotKind::Input(_) => footprint.inputs += bytes,
                SlotKind::Scratch => footprint.values += bytes,
            }
        }
        let mut scratch = Vec::new();
        for step in &plan.steps {
            let mut lowering = Lowering::new(step, precision);
            kernels::lower(&step.op, &mut lowering);
            largest_of_each(&mut scratch, &lowering.scratch);
        }
        footprint.scratch = scratch.iter().map(|&words| 4 * words as u64).sum();
        footprint
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.states + self.inputs + self.values + self.scratch
    }
}

/// Scratch buffers are shared by all steps, each as large as its largest user.
pub(crate) fn largest_of_each(shared: &mut Vec<usize>, step: &[usize]) {
    shared.resize(shared.len().max(step.len()), 0);
    shared.iter_mut().zip(step).for_each(|(shared, &words)| *shared = words.max(*shared));
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
        let want = Footprint { states: 0, inputs: 4 * 40, values: 4 * 21, scratch: 4 * (10 + 10) };
        assert_eq!(footprint, want);
        assert_eq!(footprint.total(), 4 * 81);
    }
}
