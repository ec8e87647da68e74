//! `linear_activation`: the product of `linear`, squashed tile by tile while it is in cache.

use super::linear::by_weight;
use crate::cpu::launch::Launch;
use crate::cpu::product::Old;
use crate::cpu::simd::vector;
use crate::ops::LinearActivation;

/// `(a[n,k], w[m,k]) → leaky²(a·wᵀ)`.
pub(in crate::cpu) fn run(op: &LinearActivation, launch: Launch<'_>) {
    let slope = op.slope as f32;
    let (a, w) = (launch.inputs[0], launch.inputs[1]);
    by_weight(launch, a, w, Old::Drop, |_, _, part| {
        vector(
            #[inline(always)]
            || {
                for z in part {
                    let leaky = if *z >= 0.0 { *z } else { slope * *z };
                    *z = leaky * leaky;
                }
            },
        );
    });
}
