//! What a few runs allow to say: mean, spread, significance, and how many more it would take.
//!
//! Scores are better when lower, so "significant" means: probably below. Tests are Student's, as the field uses them
//! (PRs report one-sample p-values over 3 seeds), with Welch's degrees of freedom for two groups. Two runs are the least
//! that has a spread; without one nothing is significant.

use crate::samples::deviation;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Significance that records are held to.
pub const ALPHA: f64 = 0.01;
/// Improvement that a record needs, in nats per token.
pub const THRESHOLD_NATS: f64 = 0.005;
/// Most runs that are counted up to.
const MAX_RUNS: usize = 1000;

/// Runs of one configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Number of runs.
    pub runs: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n − 1); `None` for one run.
    pub sd: Option<f64>,
}

impl Group {
    /// Mean and spread of `values`; `None` without any.
    pub fn new(values: &[f64]) -> Option<Self> {
        let runs = values.len();
        let mean = values.iter().sum::<f64>() / runs as f64;
        (runs > 0).then(|| Self { runs, mean, sd: (runs > 1).then(|| deviation(values)) })
    }

    /// Variance of the mean.
    fn variance(&self) -> Option<f64> {
        Some(self.sd?.powi(2) / self.runs as f64)
    }
}

/// A test of "the mean is below".
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    /// Student's t: how many standard errors below.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Chance of such a t without any difference, one-sided.
    pub p: f64,
    /// The same, two-sided.
    pub p_two_sided: f64,
}

impl Test {
    /// A test with `below` units of `error` standard error; `None` where there is no spread to measure by.
    fn new(below: f64, error: f64, df: f64) -> Option<Self> {
        let student = StudentsT::new(0.0, 1.0, df).ok().filter(|_| error > 0.0)?;
        let t = below / error;
        Some(Self { t, df, p: student.sf(t), p_two_sided: 2.0 * student.sf(t.abs()) })
    }
}

/// Whether the group's mean is below `limit`.
pub fn one_sample(group: &Group, limit: f64) -> Option<Test> {
    Test::new(limit - group.mean, group.variance()?.sqrt(), (group.runs - 1) as f64)
}

/// Whether the mean of `group` is below that of `other` by more than `margin` (Welch 1947).
pub fn welch(group: &Group, other: &Group, margin: f64) -> Option<Test> {
    let (a, b) = (group.variance()?, other.variance()?);
    let share = |variance: f64, runs: usize| variance.powi(2) / (runs - 1) as f64;
    let df = (a + b).powi(2) / (share(a, group.runs) + share(b, other.runs));
    Test::new(other.mean - margin - group.mean, (a + b).sqrt(), df)
}

/// The fewest runs whose one-sample p would be below [`ALPHA`] if mean and spread stayed as they are; `None` if the
/// mean is not below `limit`, there is no spread, or a thousand runs would not do.
pub fn runs_needed(group: &Group, limit: f64) -> Option<usize> {
    let (sd, below) = (group.sd.filter(|sd| *sd > 0.0)?, limit - group.mean);
    let enough = |runs: &usize| {
        Test::new(below, sd / (*runs as f64).sqrt(), (runs - 1) as f64).is_some_and(|test| test.p < ALPHA)
    };
    (2..=MAX_RUNS).find(enough).filter(|_| below > 0.0)
}

/// [`THRESHOLD_NATS`] in the units that people read it in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Nats per token.
    pub nats_per_token: f64,
    /// Bits per token.
    pub bits_per_token: f64,
    /// Bits per byte; `None` where the bytes of a token are not known.
    pub bpb: Option<f64>,
    /// Bits per byte if it is read as nats per byte, as some have.
    pub bpb_if_nats_per_byte: f64,
}

impl Threshold {
    /// The threshold for tokens of so many bytes.
    pub fn new(bytes_per_token: Option<f64>) -> Self {
        let bits = THRESHOLD_NATS / std::f64::consts::LN_2;
        Self {
            nats_per_token: THRESHOLD_NATS,
            bits_per_token: bits,
            bpb: bytes_per_token.filter(|bytes| *bytes > 0.0).map(|bytes| bits / bytes),
            bpb_if_nats_per_byte: bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(values: &[f64]) -> Group {
        Group::new(values).expect("values")
    }

    #[test]
    fn one_sample_agrees_with_the_closed_form_for_three_runs() {
        // With 2 degrees of freedom the tail of t is ½ (1 − t / √(2 + t²)).
        let runs = group(&[1.1200, 1.1213, 1.1209]);
        let test = one_sample(&runs, 1.1250).expect("a spread");
        let expected = 0.5 * (1.0 - test.t / (2.0 + test.t * test.t).sqrt());
        assert!((test.p - expected).abs() < 1e-12 && test.df == 2.0, "{test:?}");
        assert!((test.p_two_sided - 2.0 * expected).abs() < 1e-12);
        assert!(one_sample(&runs, 1.0).expect("a spread").p > 0.99, "far above the limit");
    }

    #[test]
    fn welch_reduces_to_student_for_equal_groups() {
        let (a, b) = (group(&[1.0, 2.0, 3.0, 4.0]), group(&[3.0, 4.0, 5.0, 6.0]));
        let test = welch(&a, &b, 0.0).expect("spreads");
        // Pooled: difference 2, variance 5/3, t = 2 / √(2·(5/3)/4), 6 degrees of freedom.
        assert!(
            (test.df - 6.0).abs() < 1e-12 && (test.t - 2.190_890_230_020_664_6).abs() < 1e-12,
            "{test:?}"
        );
        assert!((test.p_two_sided - 0.071_01).abs() < 1e-4, "{test:?}");
        let swapped = welch(&b, &a, 0.0).expect("spreads");
        assert!((test.p + swapped.p - 1.0).abs() < 1e-12);
    }

    #[test]
    fn three_runs_need_a_margin_of_about_seven_standard_errors() {
        // One-sided, 2 degrees of freedom: t = 6.965 at p = 0.01.
        let runs = group(&[1.0 - 1e-3, 1.0, 1.0 + 1e-3]);
        let margin = |factor: f64| 1.0 + factor * 1e-3 / 3f64.sqrt();
        assert_eq!(runs_needed(&runs, margin(6.97)), Some(3));
        assert_eq!(runs_needed(&runs, margin(6.96)), Some(4));
        assert_eq!(runs_needed(&runs, 0.999), None);
    }

    #[test]
    fn what_has_no_spread_is_not_significant() {
        assert_eq!(one_sample(&group(&[1.0]), 2.0), None);
        assert_eq!(one_sample(&group(&[1.0, 1.0]), 2.0), None);
        assert_eq!(welch(&group(&[1.0, 1.1]), &group(&[2.0]), 0.0), None);
        assert_eq!((Group::new(&[]), runs_needed(&group(&[1.0]), 2.0)), (None, None));
    }

    #[test]
    fn the_threshold_is_the_published_one_in_every_unit() {
        // 1024 pieces: 0.005 nats a token are 0.0030 bits a byte at 2.44 bytes a token.
        let threshold = Threshold::new(Some(2.436));
        assert!((threshold.bpb.expect("bytes") - 0.00296).abs() < 1e-5, "{threshold:?}");
        assert!((threshold.bpb_if_nats_per_byte - 0.0072).abs() < 1e-4);
        assert_eq!(Threshold::new(None).bpb, None);
    }
}
