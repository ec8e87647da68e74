//! Ratio search by the error of a layer's outputs: for every row the fraction of its maximum under which
//! `(Δq - w) H (Δq - w)ᵀ` is least, with `H` the second moment of the inputs (PR #951, its script of 2026-04-03, which sums
//! over samples what `H` already holds).
//!
//! Invariant: integers are nearest ones, as under [`Scheme::Ratio`]; only the step differs. Compensation is
//! [`super::gptq`]'s.

use half::f16;

use super::float::{Float, largest_magnitude};
use super::gptq::GptqError;
use super::rows::{Quantized, Scales, half_step};
#[cfg(doc)]
use super::scheme::Scheme;
use super::scheme::{RATIOS, first_least};

/// `weights [rows, n]` under the best of [`RATIOS`] per row for `hessian [n, n]`; integers `[-(c+1), c]`.
pub fn output_ratio(weights: &[f32], rows: usize, hessian: &[f32], c: u32) -> Result<Quantized, GptqError> {
    let cols = super::gptq::order_of(hessian)?;
    super::gptq::check_weights(weights, rows, cols)?;
    let (mut q, mut scales) = (Vec::with_capacity(weights.len()), Vec::with_capacity(rows));
    for row in weights.chunks(cols.max(1)) {
        let top = largest_magnitude(row);
        let step = |ratio: f64| half_step((top * ratio as f32 / c as f32).max(1e-12)).max(f16::MIN_POSITIVE);
        let steps: Vec<f16> = RATIOS.iter().map(|&ratio| step(ratio)).collect();
        let errors: Vec<f64> = steps.iter().map(|s| output_error(row, s.to_f32(), hessian, c)).collect();
        let best = steps[first_least(&errors)];
        q.extend(row.iter().map(|&w| integer(w, best.to_f32(), c) as i8));
        scales.push(best);
    }
    Ok(Quantized { rows, cols, q, scales: Scales::PerRow(scales) })
}

fn integer(weight: f32, step: f32, c: u32) -> f32 {
    let highest = c as f32;
    (weight / step).round_within(-(highest + 1.0), highest)
}

fn output_error(row: &[f32], step: f32, hessian: &[f32], c: u32) -> f64 {
    let error: Vec<f32> = row.iter().map(|&w| integer(w, step, c) * step - w).collect();
    let product = |(e, h): (&f32, &[f32])| {
        let dot: f32 = h.iter().zip(&error).map(|(h, e)| h * e).sum();
        f64::from(*e) * f64::from(dot)
    };
    error.iter().zip(hessian.chunks(error.len().max(1))).map(product).sum()
}

#[cfg(test)]
mod tests {
    use super::super::scheme::Scheme;
    use super::*;

    #[test]
    fn with_inputs_alike_the_search_is_that_of_the_weights() {
        let n = 16usize;
        let weights: Vec<f32> = (0..3 * n).map(|i| ((i * 29 % 47) as f32 - 23.0) / 11.0).collect();
        let identity: Vec<f32> = (0..n * n).map(|k| if k / n == k % n { 1.0 } else { 0.0 }).collect();
        let searched = output_ratio(&weights, 3, &identity, 7).expect("shapes agree");
        assert_eq!(searched, Scheme::Ratio { c: 7 }.quantize(&[3, n], &weights));
    }

    #[test]
    fn the_output_error_is_never_worse_than_that_of_the_weights_own_search() {
        let n = 16usize;
        let weights: Vec<f32> = (0..5 * n).map(|i| ((i * 29 % 47) as f32 - 23.0) / 11.0).collect();
        let hessian: Vec<f32> =
            (0..n * n).map(|k| 0.8f32.powi((k / n).abs_diff(k % n) as i32) * (1 + k / n) as f32).collect();
        let error = |q: &Quantized| -> f64 {
            let rows = weights.chunks(n).enumerate();
            rows.map(|(r, row)| output_error(row, q.scales.step(r), &hessian, 7)).sum()
        };
        let searched = output_ratio(&weights, 5, &hessian, 7).expect("shapes agree");
        let plain = Scheme::Ratio { c: 7 }.quantize(&[5, n], &weights);
        assert!(error(&searched) <= error(&plain));
        assert!(output_ratio(&weights, 4, &hessian, 7).is_err());
    }
}
