//! `linear_residual`: the product of `linear`, added to the residual stream tile by tile while it is in cache.

use super::linear::by_weight;
use crate::cpu::launch::Launch;
use crate::cpu::product::Old;
use crate::cpu::simd::vector;

/// `(x[n,m], a[n,k], w[m,k]) → x + a·wᵀ`.
pub(in crate::cpu) fn run(launch: Launch<'_>) {
    let (x, a, w) = (launch.inputs[0], launch.inputs[1], launch.inputs[2]);
    let ([_, cols], x) = (x.matrix(), x.f32s());
    by_weight(launch, a, w, Old::Drop, |row, col, part| {
        let x = &x[row * cols + col..];
        vector(
            #[inline(always)]
            || part.iter_mut().zip(x).for_each(|(y, x)| *y += x),
        );
    });
}
