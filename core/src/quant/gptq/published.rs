//! The column recursions that PR #585 and PR #1216 published: approximations, kept only to reproduce their
//! artifacts.
//!
//! Both divide by, and spread the error with, the dense inverse of the Hessian, and never update it for the
//! columns already rounded; the compensation is exact for the first column only. [`super::Gptq`] is the sound
//! form. Where the published S585 code cannot factor its Hessian it falls back to a diagonal inverse, which
//! is plain rounding to nearest.

use super::factor::{cholesky, gram_of_lower, invert_lower};
use super::{GptqError, diagonal_mean, permuted};

/// PR #585: columns in ascending order of the diagonal, damping 0.01 of its mean.
/// `weights [rows, n]`, `hessian [n, n]`, `steps [rows]`; integers `[rows, n]` in `±c`.
pub fn s585(weights: &[f32], hessian: &[f32], steps: &[f32], c: u32) -> Result<Vec<i8>, GptqError> {
    let n = super::order_of(hessian)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| hessian[a * n + a].total_cmp(&hessian[b * n + b]));
    let h: Vec<f64> = hessian.iter().map(|&x| f64::from(x)).collect();
    let damping = 0.01 * diagonal_mean(&h, n);
    dense(weights, &h, steps, c, &order, damping)
}

/// PR #1216: columns in natural order, damping 0.01 of the mean diagonal, which counts as 1e-6 at least.
/// Shapes as in [`s585`].
pub fn s1216(weights: &[f32], hessian: &[f32], steps: &[f32], c: u32) -> Result<Vec<i8>, GptqError> {
    let n = super::order_of(hessian)?;
    let order: Vec<usize> = (0..n).collect();
    let h: Vec<f64> = hessian.iter().map(|&x| f64::from(x)).collect();
    let damping = 0.01 * diagonal_mean(&h, n).max(1e-6);
    dense(weights, &h, steps, c, &order, damping)
}

fn dense(
    weights: &[f32],
    hessian: &[f64],
    steps: &[f32],
    c: u32,
    order: &[usize],
    damping: f64,
) -> Result<Vec<i8>, GptqError> {
    let n = order.len();
    super::check_weights(weights, steps.len(), n)?;
    let mut h = permuted(hessian, order);
    for j in 0..n {
        h[j * n + j] += damping;
    }
    cholesky(&mut h, n)?;
    invert_lower(&mut h, n);
    let inverse = gram_of_lower(&h, n);
    // The diagonal divides, bounded from below; the row to its right spreads the error.
    let spread = |j: usize| (inverse[j * n + j].max(1e-8), &inverse[j * n + j + 1..(j + 1) * n]);
    Ok(super::round_columns(weights, steps, c, order, spread))
}
