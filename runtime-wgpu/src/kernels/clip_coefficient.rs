//! Launches of `sum_squares` and `clip_coefficient`.

use super::sums;
use crate::kernel::{Kernel, MAX_STORAGE};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::ClipCoefficient;

static CLIP_COEFFICIENT: Kernel = Kernel {
    name: "clip_coefficient",
    source: &[include_str!("finite.wgsl"), include_str!("clip_coefficient.wgsl")],
    entry: "clip_coefficient",
    access: "rww",
};

static GATHER_SUMS: Kernel = Kernel {
    name: "gather_sums",
    source: &[include_str!("gather_sums.wgsl")],
    entry: "gather_sums",
    access: "rrrrrrrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&CLIP_COEFFICIENT, &GATHER_SUMS];

/// Sums that one launch gathers: as many as there are buffers beside the result's.
const GATHERED: usize = MAX_STORAGE - 1;

/// One buffer is bound per operand, so that many operands are gathered into one buffer first.
pub(super) fn clip_coefficient(op: &ClipCoefficient, low: &mut Lowering<'_>) {
    let count = low.inputs();
    let sums = if count == 1 { Input(0) } else { low.scratch(count) };
    if count > 1 {
        for first in (0..count).step_by(GATHERED) {
            // Behind the last operand stands the last one again.
            let mut bindings: Vec<Binding> =
                (first..first + GATHERED).map(|i| Input(i.min(count - 1))).collect();
            bindings.push(sums.clone());
            let params = vec![first.into(), GATHERED.min(count - first).into()];
            low.launch(&GATHER_SUMS, bindings, params, 1);
        }
    }
    let params = vec![op.limit.into(), count.into()];
    low.launch(&CLIP_COEFFICIENT, vec![sums, Output(0), Output(1)], params, 1);
}

pub(super) fn sum_squares(low: &mut Lowering<'_>) {
    sums::squares(low, Input(0), low.input(0).numel(), Output(0));
}

#[cfg(test)]
mod tests {
    use super::super::on_gpu;
    use golf_core::ops::ClipCoefficient;
    use golf_core::tensor::Tensor;

    #[test]
    fn any_number_of_sums_is_added_once_each() {
        let Some(mut gpu) = on_gpu::open("any_number_of_sums_is_added_once_each") else { return };
        for count in [1, 2, 7, 8, 131] {
            // Small integers, whose sums are exact.
            let sums: Vec<Tensor> =
                (0..count).map(|i| Tensor::f32(&[], vec![(i * i % 23) as f32 + 1.0])).collect();
            let sum: f32 = sums.iter().map(|sum| sum.to_f32()[0]).sum();
            let operands: Vec<&Tensor> = sums.iter().collect();
            let norm = on_gpu::run(&mut gpu, ClipCoefficient { limit: 1.0 }, &operands).to_f32()[0];
            assert!((norm - sum.sqrt()).abs() <= 2.0 * f32::EPSILON * norm, "{count}: {norm}² for {sum}");
        }
    }
}
