//! Soft rounding: a staircase that training can differentiate, between the identity and rounding to nearest.
//!
//! `s_α(y) = ⌊y⌋ + ½ + ½·tanh(α·r)/tanh(α/2)` with `r = y - ⌊y⌋ - ½` (Agustsson and Theis 2020, arXiv:2006.09952); its
//! sharpness `α` grows during training (PRs #589 and #606). Invariants: every integer is a fixed point, value and slope are
//! continuous, and the slope averages 1 over a step. The grid is that of [`FakeQuantRule`], whose step counts as a constant
//! in the slope. Unlike the grid, `tanh` and `exp` are not correctly rounded, so bits may differ between machines.

use super::fake::FakeQuantRule;
use super::float::Float;

impl FakeQuantRule {
    /// The weights that a soft forward pass sees: `s_α(w/Δ)·Δ` for every entry of `weights [rows, cols]`, clipped as
    /// [`FakeQuantRule::apply`] clips.
    pub fn soften<T: Float>(self, sharpness: T, cols: usize, weights: &[T], seen: &mut [T]) {
        assert_eq!(weights.len(), seen.len(), "soft rounding writes one value per weight");
        let mut scratch = Vec::new();
        let half = T::from_f64(0.5);
        let scale = half / (sharpness * half).tanh();
        for (row, out) in weights.chunks(cols.max(1)).zip(seen.chunks_mut(cols.max(1))) {
            let step = self.step(row, &mut scratch);
            for (&weight, value) in row.iter().zip(out) {
                let (base, offset) = self.parts(weight, step);
                *value = (base + half + scale * (sharpness * offset).tanh()) * step;
            }
        }
    }

    /// The gradient behind [`FakeQuantRule::soften`]: `dw = dseen · s'_α(w/Δ)`; a clipped entry has the slope of the integer
    /// that it is clipped to.
    pub fn soft_gradient<T: Float>(
        self,
        sharpness: T,
        cols: usize,
        weights: &[T],
        dseen: &[T],
        dweights: &mut [T],
    ) {
        assert_eq!(weights.len(), dseen.len(), "one gradient per weight comes in");
        assert_eq!(weights.len(), dweights.len(), "one gradient per weight goes out");
        let (mut scratch, cols) = (Vec::new(), cols.max(1));
        let half = T::from_f64(0.5);
        let scale = sharpness * T::from_f64(2.0) / (sharpness * half).tanh();
        let (one, twice) = (T::from_f64(1.0), sharpness * T::from_f64(-2.0));
        let rows = weights.chunks(cols).zip(dseen.chunks(cols)).zip(dweights.chunks_mut(cols));
        for ((row, dseen), out) in rows {
            let step = self.step(row, &mut scratch);
            for ((&weight, &dseen), value) in row.iter().zip(dseen).zip(out) {
                let (_, offset) = self.parts(weight, step);
                // 1 - tanh² without its cancellation: 4e/(1 + e)² with e = exp(-2|x|).
                let e = (twice * offset.abs()).exp();
                *value = dseen * (scale * (e / ((one + e) * (one + e))));
            }
        }
    }

    /// `⌊y⌋` and `y - ⌊y⌋ - ½` of the clipped `y = w/Δ`.
    fn parts<T: Float>(self, weight: T, step: T) -> (T, T) {
        let (lowest, highest) = (T::from_f64(f64::from(self.lowest())), T::from_f64(f64::from(self.c)));
        let y = (weight / step).max(lowest).min(highest);
        let base = y.floor();
        (base, y - base - T::from_f64(0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeQuantKind;
    use super::*;

    /// Rows below 1, where this rule's step is 1/15 whatever the row.
    const RULE: FakeQuantRule = FakeQuantRule { kind: FakeQuantKind::P549, c: 15 };

    fn soft(sharpness: f64, weights: &[f64]) -> Vec<f64> {
        let mut seen = vec![0.0; weights.len()];
        RULE.soften(sharpness, weights.len(), weights, &mut seen);
        seen
    }

    #[test]
    fn little_sharpness_is_the_identity_and_much_is_rounding() {
        let weights: Vec<f64> = (0..97).map(|i| (f64::from(i) - 48.2) / 60.0).collect();
        for (weight, seen) in weights.iter().zip(soft(1e-4, &weights)) {
            assert!((weight - seen).abs() < 1e-9, "{weight} {seen}");
        }
        let mut hard = vec![0.0; weights.len()];
        RULE.apply(weights.len(), &weights, &mut hard);
        for (hard, seen) in hard.iter().zip(soft(400.0, &weights)) {
            assert!((hard - seen).abs() < 1e-9, "{hard} {seen}");
        }
    }

    #[test]
    fn integers_are_fixed_points_and_clipped_entries_become_the_bound() {
        for sharpness in [0.5, 1.0, 7.0, 16.0] {
            let weights: Vec<f64> = (-15..=15).map(|q| f64::from(q) / 15.0).collect();
            for (weight, seen) in weights.iter().zip(soft(sharpness, &weights)) {
                assert!((weight - seen).abs() < 1e-12, "{sharpness}: {weight} {seen}");
            }
        }
        // The quantile of a long row lies below its largest magnitude.
        let rule = FakeQuantRule::new(FakeQuantKind::S585, 15);
        let mut weights = vec![0.01f64; 10_000];
        weights[7] = 50.0;
        let mut seen = vec![0.0; weights.len()];
        rule.soften(4.0, weights.len(), &weights, &mut seen);
        assert!((seen[7] - 1.0).abs() < 1e-12, "{}", seen[7]);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_staircase() {
        let weights: Vec<f64> = (0..200).map(|i| (f64::from(i) - 99.7) / 110.0).collect();
        let ones = vec![1.0; weights.len()];
        for sharpness in [1.0, 5.0, 16.0] {
            let mut slopes = vec![0.0; weights.len()];
            RULE.soft_gradient(sharpness, weights.len(), &weights, &ones, &mut slopes);
            let h = 1e-6;
            let moved = |by: f64| soft(sharpness, &weights.iter().map(|w| w + by).collect::<Vec<_>>());
            for ((up, down), slope) in moved(h).iter().zip(moved(-h)).zip(&slopes) {
                let difference = (up - down) / (2.0 * h);
                assert!((difference - slope).abs() < 1e-3, "{sharpness}: {difference} {slope}");
            }
        }
    }

    #[test]
    fn a_row_of_zeros_stays_zero_with_a_finite_gradient() {
        let (mut seen, mut dw) = ([1.0f32; 3], [0.0f32; 3]);
        RULE.soften(16.0, 3, &[0.0; 3], &mut seen);
        RULE.soft_gradient(16.0, 3, &[0.0; 3], &[1.0; 3], &mut dw);
        assert_eq!(seen, [0.0; 3]);
        assert!(dw.iter().all(|g| (0.0..1e-4).contains(g)), "{dw:?}");
    }
}
