//! Digests and samples: the fixtures' summaries of parameters that are too large to store at every step.
//!
//! A digest is `(Σx, Σx², Σ xᵢ·((i mod 7) - 3))`; a sample is the elements `⌊k·N/K⌋`, `K = min(N, width)`, zero padded.
//! Digests are functionals of the tensor. Divided by the norm of the functional, their error bounds the tensor's own
//! error from below, so the tensor's limit applies to them unchanged; each measure below is that quotient.

use super::fault::Fault;
use super::fixture::Fixture;
use super::report::CaseReport;
use super::tolerance::{Measure, Precision, Quantity, distance, nan_max, norm, ratio};
use std::collections::BTreeMap;

/// Numbers of a digest.
const DIGEST: usize = 3;

/// Tensors of a case in the order of its summaries.
pub struct Summaries<'a> {
    /// Where the expected summaries are.
    pub fixture: &'a Fixture,
    /// Names in order.
    pub order: &'a [String],
}

fn weight(i: usize) -> f64 {
    (i % 7) as f64 - 3.0
}

fn digest(x: &[f64]) -> [f64; DIGEST] {
    let weighted = x.iter().enumerate().map(|(i, x)| x * weight(i)).sum();
    [x.iter().sum(), x.iter().map(|x| x * x).sum(), weighted]
}

fn sample(x: &[f64], width: usize) -> Vec<f64> {
    let count = x.len().min(width);
    let mut values: Vec<f64> = (0..count).map(|k| x[k * x.len() / count]).collect();
    values.resize(width, 0.0);
    values
}

/// Norms of the digest's functionals around `x`: L2 for [`Measure::OfNorm`], or dual to the maximum.
fn functional_norms(x: &[f64], dual_to_maximum: bool) -> [f64; DIGEST] {
    let n = x.len();
    if dual_to_maximum {
        let weights: f64 = (0..n).map(|i| weight(i).abs()).sum();
        [n as f64, 2.0 * x.iter().map(|x| x.abs()).sum::<f64>(), weights]
    } else {
        let weights: f64 = (0..n).map(|i| weight(i).powi(2)).sum();
        [(n as f64).sqrt(), 2.0 * norm(x), weights.sqrt()]
    }
}

/// Largest error of a digest relative to its functionals' norms.
fn digest_error(got: &[f64], expected: &[f64], dual_to_maximum: bool) -> f64 {
    let norms = functional_norms(got, dual_to_maximum);
    let errors = digest(got).into_iter().zip(expected).map(|(g, e)| (g - e).abs());
    errors.zip(norms).map(|(error, norm)| ratio(error, norm)).fold(0.0, nan_max)
}

/// Deviation of a change: `error` over the norm of the change, where `resolution` (a relative rounding of the
/// parameter) is always allowed.
fn of_change(error: f64, change: f64, parameter: f64, resolution: f64, limit: f64) -> f64 {
    ratio(error, change.max(resolution * parameter / limit))
}

/// Half a unit in the last place of f32: the largest relative error of one rounding.
const HALF_ULP: f64 = f32::EPSILON as f64 / 2.0;

/// Relative error of a parameter that the device's roundings explain: an update and an average, two roundings a step.
fn resolution(precision: Precision, steps: usize) -> f64 {
    match precision {
        Precision::F32 => 2.0 * steps as f64 * HALF_ULP,
        // Orders of summation in digests differ; far below what any limit could see.
        Precision::F64 => 1e-13,
    }
}

/// Deviation of a digest, which is stored in f64, in parts of the change since `before`.
fn digest_change(before: &[f64], after: &[f64], expected: &[f64], resolution: f64, limit: f64) -> f64 {
    let error = digest_error(after, expected, false);
    of_change(error, distance(after, before), norm(after), resolution, limit)
}

impl Summaries<'_> {
    fn digests(&self, name: &str, leading: Option<usize>) -> Result<Vec<f64>, Fault> {
        let shape: Vec<usize> = leading.into_iter().chain([self.order.len(), DIGEST]).collect();
        self.fixture.floats_of(name, &shape)
    }

    fn samples(&self, name: &str) -> Result<(usize, Vec<f64>), Fault> {
        let stored = self.fixture.floats(name)?;
        match stored.shape[..] {
            [rows, width] if rows == self.order.len() && width > 0 => Ok((width, stored.values)),
            _ => {
                let expected = vec![self.order.len(), 64];
                Err(Fault::TensorShape { name: name.to_owned(), expected, got: stored.shape })
            }
        }
    }

    /// Gradients against `<key>.digest` and `<key>.sample`.
    pub fn gradients(
        &self,
        report: &mut CaseReport,
        key: &str,
        got: &BTreeMap<String, Vec<f64>>,
    ) -> Result<(), Fault> {
        let digests = self.digests(&format!("{key}.digest"), None)?;
        let (width, samples) = self.samples(&format!("{key}.sample"))?;
        let (measure, limit) = Quantity::Gradient.rule(report.precision());
        for (i, name) in self.order.iter().enumerate() {
            let grad = &got[name];
            let error = digest_error(grad, &digests[i * DIGEST..][..DIGEST], false);
            let deviation = ratio(error, norm(grad));
            report.record(&format!("{key}.digest"), measure, deviation, limit, name);
            let deviation = measure.deviation(&sample(grad, width), &samples[i * width..][..width]);
            report.record(&format!("{key}.sample"), measure, deviation, limit, name);
        }
        Ok(())
    }

    /// Parameters after updates against `<key>.digest` and `<key>.sample`, judged by their change since `initial`.
    pub fn changes(
        &self,
        report: &mut CaseReport,
        key: &str,
        steps: usize,
        initial: impl Fn(&str) -> Vec<f64>,
        got: &BTreeMap<String, Vec<f64>>,
    ) -> Result<(), Fault> {
        let digests = self.digests(&format!("{key}.digest"), None)?;
        let (width, samples) = self.samples(&format!("{key}.sample"))?;
        let precision = report.precision();
        let (measure, limit) = Quantity::ParameterChange.rule(precision);
        let resolution = resolution(precision, steps);
        for (i, name) in self.order.iter().enumerate() {
            let (before, after) = (initial(name), &got[name]);
            let expected = &digests[i * DIGEST..][..DIGEST];
            let deviation = digest_change(&before, after, expected, resolution, limit);
            report.record(&format!("{key}.digest"), measure, deviation, limit, name);
            let expected = &samples[i * width..][..width];
            let (before, after) = (sample(&before, width), sample(after, width));
            let (error, change) = (distance(&after, expected), distance(expected, &before));
            let stored = resolution + HALF_ULP;
            let deviation = of_change(error, change, norm(expected), stored, limit);
            report.record(&format!("{key}.sample"), measure, deviation, limit, name);
        }
        Ok(())
    }

    /// Parameters after adapting on chunk `chunk` of `chunks` against `<key>.digest`.
    pub fn adapted(
        &self,
        report: &mut CaseReport,
        key: &str,
        [chunk, chunks]: [usize; 2],
        initial: impl Fn(&str) -> Vec<f64>,
        got: &BTreeMap<String, Vec<f64>>,
    ) -> Result<(), Fault> {
        let digests = self.digests(&format!("{key}.digest"), Some(chunks))?;
        let (measure, limit) = Quantity::AdaptedDigest.rule(report.precision());
        for (i, name) in self.order.iter().enumerate() {
            let expected = &digests[(chunk * self.order.len() + i) * DIGEST..][..DIGEST];
            let after = &got[name];
            let deviation = match measure {
                Measure::OfChange => {
                    let resolution = resolution(report.precision(), chunk + 1);
                    digest_change(&initial(name), after, expected, resolution, limit)
                }
                _ => ratio(digest_error(after, expected, true), maximum(after)),
            };
            report.record(
                &format!("{key}.digest"),
                measure,
                deviation,
                limit,
                &format!("{name} chunk {chunk}"),
            );
        }
        Ok(())
    }

    /// Final parameters against `<key>`.
    pub fn final_samples(
        &self,
        report: &mut CaseReport,
        key: &str,
        got: &BTreeMap<String, Vec<f64>>,
    ) -> Result<(), Fault> {
        let (width, samples) = self.samples(key)?;
        let (measure, limit) = Quantity::Adapted.rule(report.precision());
        for (i, name) in self.order.iter().enumerate() {
            let expected = &samples[i * width..][..width];
            let error = Measure::Absolute.deviation(&sample(&got[name], width), expected);
            report.record(key, measure, ratio(error, maximum(&got[name])), limit, name);
        }
        Ok(())
    }
}

fn maximum(x: &[f64]) -> f64 {
    x.iter().map(|x| x.abs()).fold(0.0, nan_max)
}
