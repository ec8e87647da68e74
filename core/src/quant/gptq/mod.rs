//! GPTQ: rounding with compensation, so that a layer's outputs, not its weights, stay close (Frantar et al.
//! 2022).
//!
//! With `H = mean(x xᵀ)` over a layer's inputs `x`, columns are rounded one after the other, and each
//! column's error is spread over those not yet rounded by the rows of `U`, where `H⁻¹ = Uᵀ U` with `U` upper
//! triangular. Columns go in descending order of `diag H` ("act-order"), inputs that never fired are zeroed.
//!
//! Invariant: factors and updates are `f64`; integers lie in `±c` and have the caller's column order. The
//! published code updates 128 columns at a time to save GPU memory traffic; here a tile of rows is updated
//! together, which reads `U` as rarely and computes the same. Collecting `H` is calibration, not done here.

mod factor;
pub mod published;
mod trellis;

use std::borrow::Cow;

use half::f16;
use thiserror::Error;

use super::quantile::{magnitudes, quantile_sorted, sort_from};
use super::rows::{Quantized, Scales, half_step};
use super::scheme::{PERCENTILES, deviation, first_least};
use factor::{add_scaled, cholesky, invert_lower};

/// Rows of the weight matrix that are compensated together.
const TILE_ROWS: usize = 16;

/// Why a matrix could not be quantized with its Hessian.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum GptqError {
    /// The damped Hessian has no Cholesky factor.
    #[error(
        "hessian is not positive definite: pivot {column} is {pivot}, expected a positive number\n\
         hint: raise the damping, or round this matrix to nearest"
    )]
    NotPositiveDefinite {
        /// Position in elimination order.
        column: usize,
        /// Its pivot.
        pivot: f64,
    },
    /// The Hessian's length is no square.
    #[error("hessian has {len} elements, expected a square number")]
    NotSquare {
        /// Elements.
        len: usize,
    },
    /// Weights do not have one column per row of the Hessian.
    #[error("weights have {len} elements, expected {rows} rows of {cols} columns")]
    WeightShape {
        /// Elements.
        len: usize,
        /// Rows, one per step.
        rows: usize,
        /// Columns, the order of the Hessian.
        cols: usize,
    },
}

/// How a Hessian is prepared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GptqOptions {
    /// Added to the diagonal, as a fraction of its mean.
    pub damping: f64,
    /// Round the columns of the most active inputs first.
    pub act_order: bool,
}

impl Default for GptqOptions {
    /// Damping 0.01 with act-order.
    fn default() -> Self {
        Self { damping: 0.01, act_order: true }
    }
}

/// A factored Hessian of order `n`, ready to quantize any number of matrices with that input.
#[derive(Clone, Debug)]
pub struct Gptq {
    /// Column rounded at each position.
    order: Vec<usize>,
    /// Columns whose input was always zero.
    dead: Vec<usize>,
    /// Upper triangular `U` in that order, with `H⁻¹ = Uᵀ U`.
    upper: Vec<f64>,
}

impl Gptq {
    /// Factors `hessian [n, n]`, which must be symmetric.
    pub fn new(hessian: &[f32], options: GptqOptions) -> Result<Self, GptqError> {
        let n = order_of(hessian)?;
        let mut h: Vec<f64> = hessian.iter().map(|&x| f64::from(x)).collect();
        let dead: Vec<usize> = (0..n).filter(|&j| h[j * n + j] == 0.0).collect();
        for &j in &dead {
            h[j * n + j] = 1.0;
        }
        let damping = options.damping * diagonal_mean(&h, n);
        for j in 0..n {
            h[j * n + j] += damping;
        }
        let mut order: Vec<usize> = (0..n).collect();
        if options.act_order {
            order.sort_by(|&a, &b| h[b * n + b].total_cmp(&h[a * n + a]));
        }
        // With the columns reversed, H = L Lᵀ turns into H = R Rᵀ with R upper triangular, and U = R⁻¹: one
        // factorization instead of the two around an explicit inverse.
        let reversed: Vec<usize> = order.iter().rev().copied().collect();
        let mut upper = permuted(&h, &reversed);
        cholesky(&mut upper, n)?;
        invert_lower(&mut upper, n);
        // The last element first: reverses rows and columns at once.
        upper.reverse();
        Ok(Self { order, dead, upper })
    }

    /// Integers `[rows, n]` in `±c` of `weights [rows, n]` under fixed `steps [rows]`.
    pub fn quantize(&self, weights: &[f32], steps: &[f32], c: u32) -> Result<Vec<i8>, GptqError> {
        let n = self.order.len();
        check_weights(weights, steps.len(), n)?;
        let spread = |j: usize| (self.upper[j * n + j], &self.upper[j * n + j + 1..(j + 1) * n]);
        Ok(round_columns(&self.without_dead(weights), steps, c, &self.order, spread))
    }

    /// Integers `[rows, n]` in `±c` of `weights [rows, n]` under fixed `steps [rows]`, every row a way through
    /// [`crate::quant::trellis`].
    ///
    /// Panics unless the Hessian was factored without act-order.
    pub fn quantize_trellis(&self, weights: &[f32], steps: &[f32], c: u32) -> Result<Vec<i8>, GptqError> {
        let n = self.order.len();
        check_weights(weights, steps.len(), n)?;
        assert!(self.order.iter().copied().eq(0..n), "a trellis runs through the columns in their order");
        Ok(trellis::round_rows(&self.without_dead(weights), steps, c, &self.upper, n))
    }

    /// One run per percentile with steps `fp16(max(a/c, 1/c))`; keeps the least squared error of the weights,
    /// dead columns taken as zero. Returns the matrix and the percentile's index in [`PERCENTILES`] (PR
    /// #1019).
    pub fn quantize_percentile(
        &self,
        weights: &[f32],
        rows: usize,
        c: u32,
    ) -> Result<(Quantized, usize), GptqError> {
        let cols = self.order.len();
        check_weights(weights, rows, cols)?;
        let candidates = percentile_steps(weights, rows, cols, c);
        let mut runs = Vec::with_capacity(candidates.len());
        for scales in candidates {
            let steps: Vec<f32> = scales.iter().map(|s| s.to_f32()).collect();
            let q = self.quantize(weights, &steps, c)?;
            runs.push(Quantized { rows, cols, q, scales: Scales::PerRow(scales) });
        }
        let reference = self.without_dead(weights);
        let square = |(w, v): (&f32, f32)| f64::from(w - v).powi(2);
        let error = |run: &Quantized| reference.iter().zip(run.dequantize()).map(square).sum::<f64>();
        let errors: Vec<f64> = runs.iter().map(error).collect();
        let chosen = first_least(&errors);
        Ok((runs.swap_remove(chosen), chosen))
    }

    /// The weights with the columns of dead inputs zeroed.
    fn without_dead<'a>(&self, weights: &'a [f32]) -> Cow<'a, [f32]> {
        let mut weights = Cow::Borrowed(weights);
        if !self.dead.is_empty() {
            for row in weights.to_mut().chunks_mut(self.order.len()) {
                self.dead.iter().for_each(|&j| row[j] = 0.0);
            }
        }
        weights
    }
}

/// Steps `fp16(max(k·std/c, 1e-10))` from the standard deviation of each row of `weights [rows, cols]`,
/// unbiased: a clip at `k` sigmas, chosen without a search. Rows of one column, which have no deviation, get
/// the least step.
pub fn sigma_steps(weights: &[f32], cols: usize, k: f64, c: u32) -> Vec<f16> {
    let step = |row: &[f32]| half_step((k as f32 * deviation(row) / c as f32).max(1e-10));
    weights.chunks(cols.max(1)).map(step).collect()
}

/// For every percentile the steps of all rows.
fn percentile_steps(weights: &[f32], rows: usize, cols: usize, c: u32) -> Vec<Vec<f16>> {
    let mut steps = vec![Vec::with_capacity(rows); PERCENTILES.len()];
    let mut scratch = Vec::new();
    let least = (1.0 / f64::from(c)) as f32;
    for row in (0..rows).map(|r| &weights[r * cols..(r + 1) * cols]) {
        magnitudes(row, &mut scratch);
        sort_from(&mut scratch, PERCENTILES[0]);
        for (steps, p) in steps.iter_mut().zip(PERCENTILES) {
            steps.push(half_step((quantile_sorted(&scratch, p) / c as f32).max(least)));
        }
    }
    steps
}

/// The shared recursion. `spread(j)` gives the divisor of position `j`'s error and its factors for the
/// positions after it.
fn round_columns<'a>(
    weights: &[f32],
    steps: &[f32],
    c: u32,
    order: &[usize],
    spread: impl Fn(usize) -> (f64, &'a [f64]),
) -> Vec<i8> {
    let n = order.len();
    let bound = f64::from(c);
    let mut q = vec![0; weights.len()];
    let mut tile = Vec::with_capacity(TILE_ROWS * n);
    let tiles = weights.chunks(TILE_ROWS * n.max(1)).zip(q.chunks_mut(TILE_ROWS * n.max(1)));
    for ((weights, q), steps) in tiles.zip(steps.chunks(TILE_ROWS)) {
        tile.clear();
        for row in weights.chunks(n) {
            tile.extend(order.iter().map(|&j| f64::from(row[j])));
        }
        for (j, &column) in order.iter().enumerate() {
            let (divisor, factors) = spread(j);
            for (r, row) in tile.chunks_mut(n).enumerate() {
                let step = f64::from(steps[r]);
                let integer = (row[j] / step).round_ties_even().clamp(-bound, bound);
                let error = (row[j] - integer * step) / divisor;
                add_scaled(&mut row[j + 1..], -error, factors);
                q[r * n + column] = integer as i8;
            }
        }
    }
    q
}

pub(super) fn order_of(hessian: &[f32]) -> Result<usize, GptqError> {
    let n = hessian.len().isqrt();
    if n * n == hessian.len() { Ok(n) } else { Err(GptqError::NotSquare { len: hessian.len() }) }
}

pub(super) fn check_weights(weights: &[f32], rows: usize, cols: usize) -> Result<(), GptqError> {
    if weights.len() == rows * cols {
        Ok(())
    } else {
        Err(GptqError::WeightShape { len: weights.len(), rows, cols })
    }
}

fn diagonal_mean(h: &[f64], n: usize) -> f64 {
    if n == 0 { 0.0 } else { (0..n).map(|j| h[j * n + j]).sum::<f64>() / n as f64 }
}

/// The symmetric matrix with rows and columns in `order`.
fn permuted(h: &[f64], order: &[usize]) -> Vec<f64> {
    let n = order.len();
    order.iter().flat_map(|&i| order.iter().map(move |&j| h[i * n + j])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const N: usize = 24;
    pub(super) const ROWS: usize = 37;

    /// Uniform in ±2 without structure: neighbouring errors must not cancel by themselves.
    pub(super) fn weights() -> Vec<f32> {
        let mix = |i: u32| {
            let x = i.wrapping_mul(0x9e37_79b9);
            let x = (x ^ (x >> 15)).wrapping_mul(0x85eb_ca6b);
            (x ^ (x >> 13)) as f32 / u32::MAX as f32
        };
        (0..(ROWS * N) as u32).map(|i| 4.0 * mix(i + 1) - 2.0).collect()
    }

    /// Strongly correlated inputs: `0.9^|i-j|` with growing variances.
    pub(super) fn hessian() -> Vec<f32> {
        let h = |i: usize, j: usize| {
            0.9f32.powi(i.abs_diff(j) as i32) * (1.0 + i as f32).sqrt() * (1.0 + j as f32).sqrt()
        };
        (0..N * N).map(|k| h(k / N, k % N)).collect()
    }

    pub(super) fn output_error(q: &[i8], steps: &[f32]) -> f64 {
        let (w, h) = (weights(), hessian());
        let mut total = 0.0;
        for (r, step) in steps.iter().enumerate() {
            let e: Vec<f64> =
                (0..N).map(|j| f64::from(w[r * N + j] - f32::from(q[r * N + j]) * step)).collect();
            total += (0..N * N).map(|k| e[k / N] * f64::from(h[k]) * e[k % N]).sum::<f64>();
        }
        total
    }

    #[test]
    fn an_identity_hessian_rounds_to_nearest() {
        let identity: Vec<f32> = (0..N * N).map(|k| if k / N == k % N { 1.0 } else { 0.0 }).collect();
        let (w, steps) = (weights(), vec![0.21f32; ROWS]);
        let nearest: Vec<i8> = w
            .iter()
            .map(|&x| (f64::from(x) / f64::from(steps[0])).round_ties_even().clamp(-7.0, 7.0) as i8)
            .collect();
        let gptq = Gptq::new(&identity, GptqOptions::default()).expect("the identity is positive definite");
        assert_eq!(gptq.quantize(&w, &steps, 7), Ok(nearest.clone()));
        assert_eq!(published::s585(&w, &identity, &steps, 7), Ok(nearest.clone()));
        assert_eq!(published::s1216(&w, &identity, &steps, 7), Ok(nearest));
    }

    #[test]
    fn compensation_lowers_the_output_error_of_correlated_inputs() {
        let (w, steps) = (weights(), vec![0.29f32; ROWS]);
        let nearest: Vec<i8> =
            w.iter().map(|&x| (x / 0.29).round_ties_even().clamp(-15.0, 15.0) as i8).collect();
        let gptq = Gptq::new(&hessian(), GptqOptions::default()).expect("positive definite");
        let compensated = gptq.quantize(&w, &steps, 15).expect("shapes agree");
        let (compensated, nearest) = (output_error(&compensated, &steps), output_error(&nearest, &steps));
        assert!(compensated < 0.5 * nearest, "{compensated} {nearest}");
    }

    #[test]
    fn inputs_that_never_fire_get_zero_weights() {
        let mut h = hessian();
        for k in 0..N {
            h[5 * N + k] = 0.0;
            h[k * N + 5] = 0.0;
        }
        let gptq = Gptq::new(&h, GptqOptions::default()).expect("a dead column is replaced by the identity");
        let q = gptq.quantize(&weights(), &[0.3; ROWS], 7).expect("shapes agree");
        assert!((0..ROWS).all(|r| q[r * N + 5] == 0));
        assert!(q.iter().any(|&x| x != 0));
    }

    #[test]
    fn wrong_shapes_and_indefinite_hessians_are_refused() {
        let options = GptqOptions::default();
        assert_eq!(Gptq::new(&[1.0, 2.0], options).err(), Some(GptqError::NotSquare { len: 2 }));
        let indefinite = Gptq::new(&[1.0, 3.0, 3.0, 1.0], options);
        assert!(matches!(indefinite, Err(GptqError::NotPositiveDefinite { column: 1, .. })));
        let gptq = Gptq::new(&[2.0], options).expect("positive");
        let wrong = Err(GptqError::WeightShape { len: 3, rows: 2, cols: 1 });
        assert_eq!(gptq.quantize(&[1.0; 3], &[1.0; 2], 7), wrong);
        assert_eq!(gptq.quantize(&[], &[], 7), Ok(vec![]));
    }

    #[test]
    fn sigma_steps_are_finite_and_positive_for_degenerate_rows() {
        assert_eq!(sigma_steps(&[1.0, -1.0], 2, 7.0, 7)[0], f16::from_f32(2.0f32.sqrt()));
        for steps in [sigma_steps(&[0.0; 4], 2, 3.0, 7), sigma_steps(&[5.0; 2], 1, 3.0, 7)] {
            assert_eq!(steps, [f16::MIN_POSITIVE; 2]);
        }
    }
}
