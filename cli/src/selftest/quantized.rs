//! Comparisons of quantized tensors: integers, of which a stated number may differ by one, and scales.

use super::fault::Fault;
use super::fixture::Fixture;
use super::report::CaseReport;
use super::tolerance::Measure;
use golf_core::quant::{Quantized, Scales};

/// Entries that lie so near a tie that they may differ by one.
#[derive(Clone, Copy, Debug)]
pub struct Ties(pub usize);

/// Integers: equal but for the near ties.
pub fn compare_integers(
    report: &mut CaseReport,
    label: &str,
    at: &str,
    got: &[i8],
    expected: &[i8],
    ties: Ties,
) {
    let apart = |(g, e): (&i8, &i8)| i32::from(*g).abs_diff(i32::from(*e));
    let off: Vec<u32> = got.iter().zip(expected).map(apart).collect();
    let differing = off.iter().filter(|&&d| d > 0).count() + got.len().abs_diff(expected.len());
    // An entry off by more than one is no tie: nothing is allowed then.
    let allowed = if off.iter().all(|&d| d <= 1) { ties.0 } else { 0 };
    report.record(label, Measure::Count, differing as f64, allowed as f64, at);
}

/// Scales: equal in the type that an artifact would hold them in.
pub fn compare_scales(
    report: &mut CaseReport,
    label: &str,
    at: &str,
    got: &Quantized,
    fixture: &Fixture,
    tensor: &str,
) -> Result<(), Fault> {
    match &got.scales {
        Scales::PerRow(steps) => report.equal(label, at, steps, &fixture.halves(tensor)?.values),
        Scales::Half(step) => report.equal(label, at, &[*step], &fixture.halves(tensor)?.values),
        Scales::Single(step) => report.equal(label, at, &[*step], &fixture.singles(tensor)?.values),
    }
    Ok(())
}
