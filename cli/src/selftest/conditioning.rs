//! What a number may deviate by where single precision cannot tell it better: measured, not assumed.
//!
//! Some fixtures are worse conditioned than those that the suggested limits were read off: a weight on the edge between two
//! integers, a gradient near zero under AdamW, whose step is then noise. So a case with misses is computed again by the
//! oracle with every number that an op reads off by one rounding of single precision, at random. How far the exact result
//! moves is what no device of single precision can promise to beat; a miss within [`MARGIN`] of that is allowed and told.
//! Neither the device nor the fixture has a say in it, and NaN and unequal integers are never excused.

use super::case;
use super::fixture::Fixture;
use super::report::CaseReport;
use super::tolerance::Precision;
use crate::device::{Device, Target};

/// How often the measured movement a device may be off: a sum of many terms rounds more often than once per operand.
const MARGIN: f64 = 8.0;

/// Independent measurements, of which the largest counts.
const MEASUREMENTS: u64 = 8;

/// Judges the misses of a device of single precision again, by the conditioning of what missed.
pub fn judge_misses(fixture: &Fixture, report: &mut CaseReport) {
    if report.precision() != Precision::F32 || report.inexact_misses().is_empty() {
        return;
    }
    let exact = replay_on_oracle(fixture, None);
    // What the exact result misses too, in a damaged fixture for example, is no matter of precision.
    let wrong = exact.inexact_misses();
    if report.inexact_misses().is_subset(&wrong) {
        return;
    }
    let noisy: Vec<CaseReport> =
        (0..MEASUREMENTS).map(|seed| replay_on_oracle(fixture, Some(seed))).collect();
    report.judge_again(|label, at| match exact.deviation(label, at) {
        Some(off) if !wrong.contains(&(label.to_owned(), at.to_owned())) => {
            let moves =
                noisy.iter().filter_map(|report| report.deviation(label, at)).map(|noisy| noisy - off);
            MARGIN * moves.filter(|moved| moved.is_finite()).fold(0.0, f64::max)
        }
        _ => 0.0,
    });
}

/// The case by the oracle, with noise of this seed or without, measured as single precision is.
fn replay_on_oracle(fixture: &Fixture, noise: Option<u64>) -> CaseReport {
    let mut report = CaseReport::new("oracle", Precision::F32);
    case::replay(fixture, Target { noise, ..Target::from(Device::Reference) }, &mut report);
    report
}
