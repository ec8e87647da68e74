//! One tensor to integers: the grid comes from its [`Scheme`], the choice of integers on it from a [`Method`].
//!
//! Invariant: whatever the method, the steps are the scheme's and the integers lie in its range. A tensor without a
//! Hessian (a table that is only looked up) is rounded to nearest under every method.

use std::sync::Arc;

use super::{Calibration, CompressError, each};
use crate::quant::export::{ExportError, Exported, export_tensor};
use crate::quant::gptq::{Gptq, GptqError, GptqOptions, published};
use crate::quant::ratio::output_ratio;
use crate::quant::rows::half_step;
use crate::quant::{Quantized, Scales, Scheme, Storage};
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
    /// The nearest one, on the row scale with the least error of the outputs (PR #951, its later script); schemes other
    /// than [`Scheme::Ratio`] as [`Method::Nearest`].
    OutputRatio,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 5] =
        [Method::Nearest, Method::Gptq, Method::GptqS585, Method::GptqS1216, Method::OutputRatio];

    /// Name in configurations and reports.
    pub fn name(self) -> &'static str {
        match self {
            Method::Nearest => "nearest",
            Method::Gptq => "gptq",
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
    each(tasks, one).into_iter().collect()
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
    if let (Method::Gptq, Scheme::PercentileFloor { .. }) = (method, scheme) {
        return Ok(factored(hessian)?.quantize_percentile(values, rows, c)?.0);
    }
    let steps = scheme.steps(rows, cols, values);
    let q = match method {
        Method::Nearest | Method::OutputRatio => return Ok(nearest()),
        Method::Gptq => {
            // What a reader multiplies with: rounding to it must not add an error that nobody compensates.
            let stored: Vec<f32> = steps.iter().map(|step| half_step(*step).to_f32()).collect();
            factored(hessian)?.quantize(values, &stored, c)
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

/// The factored Hessian, with ten and a hundred times the damping where the usual one is not enough.
fn factored(hessian: &[f32]) -> Result<Gptq, GptqError> {
    let options = GptqOptions::default();
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
