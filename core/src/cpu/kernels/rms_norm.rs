//! `rms_norm` row by row: one pass for the sum of squares, one to scale, both from cache.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ROWS;
use crate::cpu::simd::{dot, madd, vector};
use crate::ops::{RMS_EPSILON, RmsNorm, RmsNormGrad, RmsNormGradAdd};

/// `1 / sqrt(mean x² + ε)` of one row.
#[inline(always)]
pub(super) fn inverse_rms(x: &[f32]) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + RMS_EPSILON as f32).sqrt()
}

/// `dx = r·(g - x·r²·mean(g ⊙ x))` with `g = factor·dy`, `r` the row's [`inverse_rms`] and `along = x·dy`.
#[inline(always)]
pub(super) fn row_grad(x: &[f32], dy: &[f32], factor: f32, r: f32, along: f32, dx: &mut [f32]) {
    let (of_dy, of_x) = factors(x.len(), factor, r, along);
    for ((dx, x), dy) in dx.iter_mut().zip(x).zip(dy) {
        *dx = madd(of_dy, *dy, of_x * x);
    }
}

/// [`row_grad`] added to `sum`.
#[inline(always)]
pub(super) fn add_row_grad(x: &[f32], dy: &[f32], factor: f32, r: f32, along: f32, sum: &mut [f32]) {
    let (of_dy, of_x) = factors(x.len(), factor, r, along);
    for ((sum, x), dy) in sum.iter_mut().zip(x).zip(dy) {
        *sum += madd(of_dy, *dy, of_x * x);
    }
}

/// What a row's gradient has of `dy` and of `x`.
#[inline(always)]
fn factors(width: usize, factor: f32, r: f32, along: f32) -> (f32, f32) {
    (r * factor, -r * r * r * factor * (along / width as f32))
}

/// `(x[n,d]) → scale · x / sqrt(mean_d x² + ε)`.
pub(in crate::cpu) fn run(op: &RmsNorm, mut launch: Launch<'_>) {
    let (d, scale) = (launch.inputs[0].matrix()[1], op.scale as f32);
    let [x] = launch.floats();
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * d).collect(), |index, y| {
        let rows = x[index * ROWS * d..].chunks_exact(d).zip(y.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for (x, y) in rows {
                    let factor = inverse_rms(x) * scale;
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = factor * x);
                }
            },
        );
    });
}

/// `(x[n,d], dy[n,d]) → dx[n,d]`.
pub(in crate::cpu) fn grad(op: &RmsNormGrad, launch: Launch<'_>) {
    rows_of_grad(op, launch, row_grad);
}

/// `(x[n,d], dy[n,d], sum[n,d]) → sum + dx` in place.
pub(in crate::cpu) fn grad_add(op: &RmsNormGradAdd, launch: Launch<'_>) {
    rows_of_grad(&op.grad, launch, add_row_grad);
}

/// Every row of the result by `row`, as [`row_grad`] takes it.
#[inline(always)]
fn rows_of_grad(
    op: &RmsNormGrad,
    mut launch: Launch<'_>,
    row: impl Fn(&[f32], &[f32], f32, f32, f32, &mut [f32]) + Sync,
) {
    let (d, scale) = (launch.inputs[0].matrix()[1], op.scale as f32);
    let (x, dy) = (launch.inputs[0].f32s(), launch.inputs[1].f32s());
    let [dx] = launch.results();
    launch.threads.each(dx.chunks_mut(ROWS * d).collect(), |index, dx| {
        let at = index * ROWS * d;
        let rows = x[at..].chunks_exact(d).zip(dy[at..].chunks_exact(d)).zip(dx.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for ((x, dy), dx) in rows {
                    row(x, dy, scale, inverse_rms(x), dot(x, dy), dx);
                }
            },
        );
    });
}
