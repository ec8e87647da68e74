//! `linear_add_scaled`: the product of `linear`, scaled and added to the residual stream tile by tile while it is in
//! cache.

use super::linear::by_weight;
use crate::cpu::launch::Launch;
use crate::cpu::product::Old;
use crate::cpu::simd::{madd, vector};

/// `(x[n,m], scale[m], a[n,k], w[m,k]) → x + scale ⊙ (a·wᵀ)`.
pub(in crate::cpu) fn run(launch: Launch<'_>) {
    let (x, scale) = (launch.inputs[0].f32s(), launch.inputs[1].f32s());
    let (a, w) = (launch.inputs[2], launch.inputs[3]);
    by_weight(launch, a, w, Old::Drop, |row, col, part| {
        let (x, scale) = (&x[row * scale.len() + col..], &scale[col..]);
        vector(
            #[inline(always)]
            || {
                for ((y, x), scale) in part.iter_mut().zip(x).zip(scale) {
                    *y = madd(*scale, *y, *x);
                }
            },
        );
    });
}
