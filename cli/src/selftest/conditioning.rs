//! What a number may deviate by where single precision cannot tell it better: measured, not assumed.
//!
//! Some fixtures are worse conditioned than those that the suggested limits were read off: a weight on the edge between two
//! integers, a gradient near zero under AdamW, whose step is then noise. So a case with misses is computed again by the
//! oracle with every number that an op reads off by one rounding of single precision, at random. How far the exact result
//! moves is what no device of single precision can promise to beat; a miss within [`MARGIN`] of that is allowed and told.
//! Neither the device nor the fixture has a say in it, and NaN and unequal integers are never excused.
//!
//! For a device that forms products in bf16 the same is measured with their operands off by one rounding to it besides, and more often:
//! that an entry's step under AdamW changes its sign happens in one of twenty such runs, and then is all of the movement.

use super::report::CaseReport;
use super::tolerance::Precision;
use crate::device::{Device, Target};
use golf_core::train::recipe;

/// How often the measured movement a device may be off: a sum of many terms rounds more often than once per operand.
const MARGIN: f64 = 8.0;

/// Independent measurements, of which the largest counts.
const MEASUREMENTS: usize = 8;

/// As often again with products in bf16, as long as something misses.
const ROUNDS_OF_BF16: usize = 8;

/// Judges the misses of a device of single precision again, by the conditioning of what missed. `replay` runs the case on a
/// device; `products` is the precision that the device forms products in.
pub fn judge_misses(
    replay: impl Fn(Target, &mut CaseReport),
    products: recipe::Precision,
    report: &mut CaseReport,
) {
    if report.precision() != Precision::F32 || report.inexact_misses().is_empty() {
        return;
    }
    // The case by the oracle, with noise of this seed or without, measured as single precision is.
    let on_oracle = |noise: Option<u64>| {
        let precision = if noise.is_some() { products } else { recipe::Precision::F32 };
        let mut report = CaseReport::new("oracle", Precision::F32);
        replay(Target { noise, precision, ..Target::from(Device::Reference) }, &mut report);
        report
    };
    let exact = on_oracle(None);
    // What the exact result misses too, in a damaged fixture for example, is no matter of precision.
    let wrong = exact.inexact_misses();
    if report.inexact_misses().is_subset(&wrong) {
        return;
    }
    let rounds = if products == recipe::Precision::Bf16 { ROUNDS_OF_BF16 } else { 1 };
    let mut noisy: Vec<CaseReport> = Vec::new();
    while noisy.len() < rounds * MEASUREMENTS && !report.inexact_misses().is_subset(&wrong) {
        let seeds = noisy.len()..noisy.len() + MEASUREMENTS;
        noisy.extend(seeds.map(|seed| on_oracle(Some(seed as u64))));
        report.judge_again(|label, at| match exact.deviation(label, at) {
            Some(off) if !wrong.contains(&(label.to_owned(), at.to_owned())) => {
                let moves =
                    noisy.iter().filter_map(|report| report.deviation(label, at)).map(|noisy| noisy - off);
                MARGIN * moves.filter(|moved| moved.is_finite()).fold(0.0, f64::max)
            }
            _ => 0.0,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{case, fixture::Fixture};
    use super::*;
    use std::path::Path;

    /// What a device whose every number is off by roundings of this precision, drawn by `seed`, would report, judged as one
    /// of `products`.
    fn judged(of: recipe::Precision, seed: u64, products: recipe::Precision) -> CaseReport {
        let stem = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/one_layer");
        let [tensors, json] = ["safetensors", "json"].map(|ending| stem.with_extension(ending));
        let read = |path| std::fs::read(path).expect("a committed file");
        let fixture = Fixture::decode(&read(tensors), &read(json)).expect("a committed fixture");
        let replay = |device, report: &mut CaseReport| case::replay(&fixture, device, report);
        let mut report = CaseReport::new("one_layer", Precision::F32);
        let device = Target { noise: Some(seed), precision: of, ..Target::from(Device::Reference) };
        replay(device, &mut report);
        judge_misses(replay, products, &mut report);
        report
    }

    #[test]
    fn a_device_of_bf16_products_is_judged_by_their_roundings_and_by_no_others() {
        use recipe::Precision::{Bf16, F32};
        // Seeds that the judge does not draw; with the last two a sign changes.
        for seed in [1000, 1002, 1021] {
            let report = judged(Bf16, seed, Bf16);
            assert!(report.ok(), "seed {seed}: {:?}", report.inexact_misses());
            assert!(!judged(Bf16, seed, F32).ok(), "bf16 is no single precision");
        }
    }
}
