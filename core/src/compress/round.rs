//! One tensor to integers: the grid comes from its [`Scheme`], the choice of integers on it from a [`Method`].
//!
//! Invariant: whatever the method, the steps are the scheme's and the integers lie in its range (on a trellis: of its scheme one
//! bit wider, on a grid that is finer by a fixed factor). A tensor without a
//! Hessian (a table that is only looked up) is rounded to nearest under every method.

use std::sync::Arc;

use super::{Calibration, CompressError};
use crate::parallel::on_all_cores;
use crate::quant::export::{ExportError, Exported, export_tensor};
use crate::quant::gptq::{Gptq, GptqError, GptqOptions, published};
use crate::quant::ratio::output_ratio;
use crate::quant::rows::half_step;
use crate::quant::{Quantized, Scales, Scheme, Storage};
use half::f16;
use serde::{Deserialize, Serialize};

/// How integers are chosen on a given grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The nearest one.
    Nearest,
    /// With compensation by the remaining columns (GPTQ in its sound form, PR #1019).
    Gptq,
    /// PR #585's approximation of it.
    GptqS585,
    /// PR #1216's approximation of it.
    GptqS1216,
    /// With compensation, as a way through [`crate::quant::trellis`]: the error of [`Method::Gptq`] in about 5 % fewer bytes, with
    /// integers of one bit more in memory. Schemes that have no wider form as [`Method::Gptq`].
    Trellis,
    /// The nearest one, on the row scale with the least error of the outputs (PR #951, its later script); schemes other
    /// than [`Scheme::Ratio`] as [`Method::Nearest`].
    OutputRatio,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 6] = [
        Method::Nearest,
        Method::Gptq,
        Method::Trellis,
        Method::GptqS585,
        Method::GptqS1216,
        Method::OutputRatio,
    ];

    /// Name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Method::Nearest => "nearest",
            Method::Gptq => "gptq",
            Method::Trellis => "trellis",
            Method::GptqS585 => "gptq_s585",
            Method::GptqS1216 => "gptq_s1216",
            Method::OutputRatio => "output_ratio",
        }
    }

    /// The method of a name.
    pub fn from_name(name: &str) -> Option<Method> {
        Method::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// A parameter and how it is to be stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task<'a> {
    /// Name.
    pub name: &'a str,
    /// Extents.
    pub shape: &'a [usize],
    /// Values.
    pub values: &'a [f32],
    /// Form.
    pub storage: Storage,
    /// How integers are chosen.
    pub method: Method,
}

/// All `tasks` in their order, natively on all cores.
pub fn round_all(
    tasks: &[Task<'_>],
    calibration: Option<&Calibration>,
) -> Result<Vec<(String, Exported)>, CompressError> {
    let one = |task: &Task<'_>| Ok((task.name.to_owned(), round(task, calibration)?));
    on_all_cores(tasks, one).into_iter().collect()
}

/// The exported form of one parameter.
pub fn round(task: &Task<'_>, calibration: Option<&Calibration>) -> Result<Exported, CompressError> {
    let Task { name, shape, values, storage, method } = *task;
    let (Storage::Quantized(scheme), [rows, cols]) = (storage, shape) else {
        return Ok(export_tensor(name, shape, values, storage)?);
    };
    if method == Method::Nearest {
        return Ok(export_tensor(name, shape, values, storage)?);
    }
    let Some(calibration) = calibration else {
        return Err(CompressError::NotCalibrated { tensor: name.to_owned(), method: method.name() });
    };
    if let Some(index) = values.iter().position(|x| !x.is_finite()) {
        let (tensor, value) = (name.to_owned(), values[index]);
        return Err(ExportError::NotFinite { tensor, index, value }.into());
    }
    let Some(hessian) = calibration.hessian(name) else {
        return Ok(export_tensor(name, shape, values, storage)?);
    };
    let fail = |source| CompressError::Gptq { tensor: name.to_owned(), source };
    if let (Method::Trellis, Some(wider)) = (method, scheme.widened()) {
        let quantized = on_trellis(*rows, *cols, values, (scheme, wider), hessian).map_err(fail)?;
        return Ok(Exported::Quantized(wider, quantized));
    }
    let quantized = with_hessian(*rows, *cols, values, scheme, method, hessian).map_err(fail)?;
    Ok(Exported::Quantized(scheme, quantized))
}

fn with_hessian(
    rows: usize,
    cols: usize,
    values: &[f32],
    scheme: Scheme,
    method: Method,
    hessian: &Arc<Vec<f32>>,
) -> Result<Quantized, GptqError> {
    let nearest = || scheme.quantize(&[rows, cols], values);
    let c = scheme.c();
    if let (Method::OutputRatio, Scheme::Ratio { .. }) = (method, scheme) {
        return output_ratio(values, rows, hessian, c);
    }
    if let (Method::Gptq | Method::Trellis, Scheme::PercentileFloor { .. }) = (method, scheme) {
        return Ok(factored(hessian, true)?.quantize_percentile(values, rows, c)?.0);
    }
    let steps = scheme.steps(rows, cols, values);
    let q = match method {
        Method::Nearest | Method::OutputRatio => return Ok(nearest()),
        Method::Gptq | Method::Trellis => {
            // What a reader multiplies with: rounding to it must not add an error that nobody compensates.
            let stored: Vec<f32> = steps.iter().map(|step| half_step(*step).to_f32()).collect();
            factored(hessian, true)?.quantize(values, &stored, c)
        }
        Method::GptqS585 => published::s585(values, hessian, &steps, c),
        Method::GptqS1216 => published::s1216(values, hessian, &steps, c),
    };
    let q = match q {
        Ok(q) => q,
        // The published code falls back to a diagonal inverse there, which compensates nothing.
        Err(GptqError::NotPositiveDefinite { .. }) if method != Method::Gptq => return Ok(nearest()),
        Err(error) => return Err(error),
    };
    let scales = Scales::PerRow(steps.into_iter().map(half_step).collect());
    Ok(Quantized { rows, cols, q, scales })
}

/// Step of a trellis's grid in steps of rounding to every point: with it the error of a normal variable is the same.
const TRELLIS_STEP: f32 = 0.565;

/// Integers of `wider` whose error is that of `scheme` rounded to every point.
fn on_trellis(
    rows: usize,
    cols: usize,
    values: &[f32],
    (scheme, wider): (Scheme, Scheme),
    hessian: &[f32],
) -> Result<Quantized, GptqError> {
    let finer = |step: f32| half_step(step * TRELLIS_STEP).max(f16::MIN_POSITIVE);
    let scales: Vec<f16> = scheme.steps(rows, cols, values).into_iter().map(finer).collect();
    let steps: Vec<f32> = scales.iter().map(|step| step.to_f32()).collect();
    let q = factored(hessian, false)?.quantize_trellis(values, &steps, wider.c())?;
    Ok(Quantized { rows, cols, q, scales: Scales::PerRow(scales) })
}

/// The factored Hessian, with ten and a hundred times the damping where the usual one is not enough.
fn factored(hessian: &[f32], act_order: bool) -> Result<Gptq, GptqError> {
    let options = GptqOptions { act_order, ..GptqOptions::default() };
    let damped =
        |factor: f64| Gptq::new(hessian, GptqOptions { damping: factor * options.damping, ..options });
    damped(1.0).or_else(|_| damped(10.0)).or_else(|_| damped(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task<'a>(values: &'a [f32], shape: &'a [usize], method: Method) -> Task<'a> {
        Task { name: "w", shape, values, storage: Storage::Quantized(Scheme::Ratio { c: 7 }), method }
    }

    #[test]
    fn methods_have_names_that_lead_back_to_them() {
        for method in Method::ALL {
            assert_eq!(Method::from_name(method.name()), Some(method));
            let json = serde_json::to_string(&method).expect("a unit variant has a JSON form");
            assert_eq!(json, format!("\"{}\"", method.name()));
        }
        assert_eq!(Method::from_name("gptq2"), None);
    }

    #[test]
    fn a_trellis_has_the_error_of_compensation_in_fewer_bytes() {
        use crate::codec::{Symbols, encode_symbols};
        let (rows, cols) = (64, 96);
        // Sums of four scrambled numbers: near normal, the same everywhere.
        let mix = |i: u32| {
            let x = i.wrapping_mul(0x9e37_79b9);
            let x = (x ^ (x >> 15)).wrapping_mul(0x85eb_ca6b);
            (x ^ (x >> 13)) as f32 / u32::MAX as f32 - 0.5
        };
        let values: Vec<f32> =
            (0..(rows * cols) as u32).map(|i| (0..4).map(|k| mix(4 * i + k + 1)).sum()).collect();
        let h = |i: usize, j: usize| 0.9f32.powi(i.abs_diff(j) as i32);
        let hessian = Arc::new((0..cols * cols).map(|k| h(k / cols, k % cols)).collect::<Vec<f32>>());
        let scheme = Scheme::Sigma { c: 15, tenths: 80 };
        let cost = |scheme: Scheme, quantized: &Quantized| {
            let bits = scheme.bits();
            let symbols: Vec<u8> =
                quantized.q.iter().map(|&q| (i32::from(q) + (1 << (bits - 1))) as u8).collect();
            let stream = encode_symbols(Symbols { bits, matrices: &[(rows, cols)], bytes: &symbols });
            let e: Vec<f64> =
                values.iter().zip(quantized.dequantize()).map(|(w, v)| f64::from(w - v)).collect();
            let row = |e: &[f64]| -> f64 {
                (0..cols * cols).map(|k| e[k / cols] * f64::from(hessian[k]) * e[k % cols]).sum()
            };
            (stream.len(), e.chunks(cols).map(row).sum::<f64>())
        };
        let plain =
            with_hessian(rows, cols, &values, scheme, Method::Gptq, &hessian).expect("positive definite");
        let wider = scheme.widened().expect("a wider form");
        let trellis = on_trellis(rows, cols, &values, (scheme, wider), &hessian).expect("positive definite");
        let ((bytes, error), (fewer, same)) = (cost(scheme, &plain), cost(wider, &trellis));
        assert!(fewer * 100 < bytes * 97, "{fewer} {bytes} bytes");
        assert!(same < 1.05 * error, "{same} {error}");
    }

    #[test]
    fn what_needs_calibration_says_so_and_nearest_does_not() {
        let values: Vec<f32> = (0..12).map(|i| i as f32 - 5.5).collect();
        for method in Method::ALL.into_iter().filter(|m| *m != Method::Nearest) {
            let error = round(&task(&values, &[3, 4], method), None).expect_err("no calibration");
            assert!(error.to_string().contains(method.name()), "{error}");
        }
        round(&task(&values, &[3, 4], Method::Nearest), None).expect("nearest needs nothing");
        round(&task(&values, &[12], Method::Gptq), None).expect("a vector is never compensated");
    }
}
