//! Fake quantization: the forward pass sees the weights that an exporter would store, the gradient passes
//! unchanged.
//!
//! Invariant: computed in the precision of the weights, with the operation order of the published training
//! scripts, so that the integers are theirs; `f64` instances serve the oracle. The straight-through gradient
//! is the identity, also for clipped entries, and needs no code here. These are training rules: exporters
//! ([`super::scheme`]) differ slightly.

use serde::{Deserialize, Serialize};

use super::float::{Float, largest_magnitude};
use super::quantile::{magnitudes, quantile, rank};

/// How the step `Δ` of a row follows from its largest magnitude `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FakeQuantKind {
    /// `Δ = max(quantile_0.9995(|w|)/c, 1/c)`, integers `[-(c+1), c]` (PR #585).
    S585,
    /// `Δ = max(m/c, 1/c)`, integers `[-c, c]` (PR #861).
    S861,
    /// `Δ = max(m/c, 1/c)`, integers `[-(c+1), c]` (PR #549).
    P549,
    /// `Δ = max(m, 1e-12)/c`, integers `[-(c+1), c]` (PR #1216).
    Max,
    /// `Δ = max(m/c, 1e-12)`, integers `[-(c+1), c]` (PR #951).
    #[serde(rename = "maxf")]
    MaxFloorAfter,
}

/// A fake-quantization rule: one step per row of a matrix `[rows, cols]`, recomputed from the live weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FakeQuantRule {
    /// Step rule.
    pub kind: FakeQuantKind,
    /// Largest integer.
    pub c: u32,
}

/// The quantile of magnitudes that PR #585 takes for the largest.
const S585_QUANTILE: f64 = 0.9995;

/// The step of a row as numbers: see [`FakeQuantRule::form`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepForm {
    /// The `need`-th largest magnitude is the lower neighbour of the one that the step derives from.
    pub need: usize,
    /// Interpolation starts at the upper neighbour.
    pub from_high: bool,
    /// By how much of the gap it moves from there.
    pub factor: f32,
    /// Least magnitude.
    pub before: f32,
    /// Least step.
    pub after: f32,
}

impl FakeQuantRule {
    /// A rule of `kind` with largest integer `c`.
    pub fn new(kind: FakeQuantKind, c: u32) -> Self {
        Self { kind, c }
    }

    /// Smallest integer.
    pub fn lowest(self) -> i32 {
        let c = self.c as i32;
        if self.kind == FakeQuantKind::S861 { -c } else { -(c + 1) }
    }

    /// Step of one row; always positive for finite weights. `scratch` is overwritten.
    pub fn step<T: Float>(self, row: &[T], scratch: &mut Vec<T>) -> T {
        let c = T::from_f64(f64::from(self.c));
        let unit = T::from_f64(1.0 / f64::from(self.c));
        let tiny = T::from_f64(1e-12);
        match self.kind {
            FakeQuantKind::S585 => {
                magnitudes(row, scratch);
                (quantile(scratch, S585_QUANTILE) / c).max(unit)
            }
            FakeQuantKind::S861 | FakeQuantKind::P549 => (largest_magnitude(row) / c).max(unit),
            FakeQuantKind::Max => largest_magnitude(row).max(tiny) / c,
            FakeQuantKind::MaxFloorAfter => (largest_magnitude(row) / c).max(tiny),
        }
    }

    /// How [`FakeQuantRule::step`] of a row of `k > 0` weights follows from its sorted magnitudes in `f32`, as numbers, for kernels
    /// that know one form: `max(magnitude, before) / c`, at least `after`.
    pub fn form(self, k: usize) -> StepForm {
        let unit = (1.0 / f64::from(self.c)) as f32;
        let largest = StepForm { need: 1, from_high: false, factor: 0.0, before: 0.0, after: 0.0 };
        match self.kind {
            FakeQuantKind::S585 => {
                let (low, weight) = rank::<f32>(k, S585_QUANTILE);
                // Interpolation begins at the nearer end.
                let from_high = weight >= 0.5;
                let factor = if from_high { weight - 1.0 } else { weight };
                StepForm { need: k - low, from_high, factor, after: unit, ..largest }
            }
            FakeQuantKind::S861 | FakeQuantKind::P549 => StepForm { after: unit, ..largest },
            FakeQuantKind::Max => StepForm { before: 1e-12, ..largest },
            FakeQuantKind::MaxFloorAfter => StepForm { after: 1e-12, ..largest },
        }
    }

    /// Integer of one weight under `step`, as a float.
    pub fn integer<T: Float>(self, weight: T, step: T) -> T {
        (weight / step).round_within(T::from_f64(f64::from(self.lowest())), T::from_f64(f64::from(self.c)))
    }

    /// The weights that the forward pass sees: `w + (q·Δ - w)` for every entry of `weights [rows, cols]`.
    ///
    /// The sum is kept as published: it differs from `q·Δ` by a rounding.
    pub fn apply<T: Float>(self, cols: usize, weights: &[T], seen: &mut [T]) {
        assert_eq!(weights.len(), seen.len(), "fake quantization writes one value per weight");
        let mut scratch = Vec::new();
        for (row, out) in weights.chunks(cols.max(1)).zip(seen.chunks_mut(cols.max(1))) {
            let step = self.step(row, &mut scratch);
            for (&weight, value) in row.iter().zip(out) {
                *value = weight + (self.integer(weight, step) * step - weight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [FakeQuantKind; 5] = [
        FakeQuantKind::S585,
        FakeQuantKind::S861,
        FakeQuantKind::P549,
        FakeQuantKind::Max,
        FakeQuantKind::MaxFloorAfter,
    ];

    #[test]
    fn the_form_of_a_step_is_the_step_to_the_bit() {
        for (kind, k) in KINDS.into_iter().flat_map(|kind| [1, 2, 17, 900, 4100].map(|k| (kind, k))) {
            let rule = FakeQuantRule::new(kind, 15);
            let row: Vec<f32> = (0..k).map(|i| (i * 7919 % 4099) as f32 / 977.0 - 2.0).collect();
            let mut sorted: Vec<f32> = row.iter().map(|w| w.abs()).collect();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let StepForm { need, from_high, factor, before, after } = rule.form(k);
            let [low, high] = [need - 1, need.saturating_sub(2)].map(|i| sorted[i]);
            let magnitude = factor.mul_add(high - low, if from_high { high } else { low });
            let step = (magnitude.max(before) / 15.0).max(after);
            assert_eq!(step.to_bits(), rule.step(&row, &mut Vec::new()).to_bits(), "{kind:?} {k}");
        }
    }

    #[test]
    fn every_rule_keeps_a_weight_inside_the_clip_within_half_a_step() {
        let weights: Vec<f32> = (0..64).map(|i| ((i * 37 % 64) as f32 - 31.5) / 20.0).collect();
        for kind in KINDS {
            let rule = FakeQuantRule::new(kind, 15);
            let step = rule.step(&weights, &mut Vec::new());
            let mut seen = vec![0.0; weights.len()];
            rule.apply(weights.len(), &weights, &mut seen);
            let reach = step * 15.0;
            for (w, s) in weights.iter().zip(&seen).filter(|(w, _)| w.abs() <= reach) {
                assert!((w - s).abs() <= step * 0.500_001, "{kind:?} {w} {s} {step}");
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero_in_both_precisions() {
        for kind in KINDS {
            let rule = FakeQuantRule::new(kind, 7);
            let (mut single, mut double) = ([1.0f32; 3], [1.0f64; 3]);
            rule.apply(3, &[0.0f32; 3], &mut single);
            rule.apply(3, &[0.0f64; 3], &mut double);
            assert_eq!((single, double), ([0.0; 3], [0.0; 3]), "{kind:?}");
        }
    }

    #[test]
    fn no_rows_or_no_columns_are_nothing_to_do() {
        FakeQuantRule::new(FakeQuantKind::S585, 15).apply::<f32>(0, &[], &mut []);
        FakeQuantRule::new(FakeQuantKind::Max, 15).apply::<f64>(4, &[], &mut []);
    }

    #[test]
    fn steps_are_those_of_the_formulas() {
        let row = [0.5f64, -3.5, 1.0];
        let step = |kind| FakeQuantRule::new(kind, 7).step(&row, &mut Vec::new());
        assert_eq!(step(FakeQuantKind::Max), 0.5);
        assert_eq!(step(FakeQuantKind::MaxFloorAfter), 0.5);
        assert_eq!(step(FakeQuantKind::P549), 0.5);
        let small = [1e-3f64];
        assert_eq!(FakeQuantRule::new(FakeQuantKind::P549, 7).step(&small, &mut Vec::new()), 1.0 / 7.0);
    }
}
