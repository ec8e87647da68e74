//! Files fitted to a target, with their real sizes.

use super::*;
use crate::compress::planner::{Choice, Family};
use crate::model::ModelConfig;
use crate::quant::Scheme;

const SHAPE: [usize; 2] = [64, 96];

fn values(seed: u32) -> Vec<f32> {
    let mix = |i: u32| {
        let x = i.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
        let x = (x ^ (x >> 15)).wrapping_mul(0x2c1b_3c6d);
        (x ^ (x >> 13)) as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..(SHAPE[0] * SHAPE[1]) as u32).map(|i| (0..4).map(|k| mix(4 * i + k)).sum::<f32>()).collect()
}

fn frame() -> Artifact {
    let config = ModelConfig::default();
    Artifact { config, tensors: vec![], tokenizer: None, tokenizer_identity: None, provenance: None }
}

fn fitted(choice: Choice, target: u64, prune_ones: bool) -> Result<Fitted, CompressError> {
    let weights = [values(1), values(2), values(3)];
    let names = ["a.weight", "b.weight", "c.weight"];
    let subjects: Vec<Subject<'_>> = (names.iter().zip(&weights))
        .map(|(name, values)| Subject { name, shape: &SHAPE, values, choice })
        .collect();
    let plan = Plan::new(&subjects, None, 1000.0);
    let budget = Budget { target, rounds: 4, prune_ones };
    fit(plan, &subjects, |_| Method::Nearest, None, &frame(), budget)
}

#[test]
fn the_file_is_never_above_the_target_and_wider_with_more_room() {
    let mut last = f64::INFINITY;
    for target in [8_000u64, 11_000, 14_000] {
        let fitted = fitted(Choice::Free(Family::Auto), target, false).expect("within the ladder");
        assert!(fitted.file.len() as u64 <= target, "{} of {target}", fitted.file.len());
        assert_eq!(fitted.artifact.encode().expect("legal"), fitted.file);
        assert!(fitted.plan.loss() < last, "{target}");
        last = fitted.plan.loss();
    }
}

#[test]
fn a_target_below_the_narrowest_widths_is_refused_with_the_smallest_size() {
    let error = fitted(Choice::Free(Family::Ratio), 1_500, false).expect_err("too small");
    assert!(
        matches!(error, CompressError::OutOfReach { target: 1_500, smallest } if smallest > 1_500),
        "{error}"
    );
}

#[test]
fn fixed_widths_a_little_too_large_are_pruned_down_to_the_target() {
    let choice = Choice::Fixed(Storage::Quantized(Scheme::Ratio { c: 7 }));
    let whole = fitted(choice, 1 << 20, false).expect("no limit to speak of").file.len() as u64;
    let target = whole - whole / 50;
    assert!(fitted(choice, target, false).is_err());
    let pruned = fitted(choice, target, true).expect("2 % are within reach");
    assert!(pruned.pruned > 0 && pruned.file.len() as u64 <= target);
    assert!(pruned.file.len() as u64 > target - target / 100, "{} of {target}", pruned.file.len());
}
