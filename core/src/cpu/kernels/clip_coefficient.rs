//! `sum_squares`, in f64 over pieces joined in order, and `clip_coefficient` of such sums.

use crate::cpu::launch::Launch;
use crate::cpu::rows::sum;
use crate::cpu::simd::{dot, vector};
use crate::ops::ClipCoefficient;

/// Elements summed in f32 before they join the f64 sum.
const RUN: usize = 1024;

/// `Σ a·b` with f64 sums of short f32 runs.
pub(in crate::cpu) fn long_dot(threads: &crate::cpu::threads::Threads, a: &[f32], b: &[f32]) -> f64 {
    sum(threads, a.len(), |range| {
        let runs = a[range.clone()].chunks(RUN).zip(b[range].chunks(RUN));
        vector(
            #[inline(always)]
            || runs.map(|(a, b)| f64::from(dot(a, b))).sum(),
        )
    })
}

/// `(x) → Σx² []`.
pub(in crate::cpu) fn sum_squares(mut launch: Launch<'_>) {
    let x = launch.inputs[0].f32s();
    let [y] = launch.results();
    y[0] = long_dot(launch.threads, x, x) as f32;
}

/// `(s₁[], …, s_k[]) → (norm[], coefficient[])`; sums are added in f32, in order.
pub(in crate::cpu) fn run(op: &ClipCoefficient, mut launch: Launch<'_>) {
    let sum = launch.inputs.iter().map(|squares| squares.f32s()[0]).reduce(|sum, squares| sum + squares);
    let (norm, coefficient) = op.of(f64::from(sum.expect("an op with operands")));
    let [norm_out, coefficient_out] = launch.results();
    norm_out[0] = norm as f32;
    coefficient_out[0] = coefficient as f32;
}
