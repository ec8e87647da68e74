//! Quantiles by linear interpolation, with the index arithmetic of the published quantizers.
//!
//! Invariant: the rank `p·(n-1)` is formed in the tensor's own precision by one rounded multiplication, as
//! `torch.quantile` does; a rank formed in `f64` for `f32` data interpolates elsewhere and gives other
//! scales. Not a statistics library: inputs are finite, and nothing here allocates.

use super::float::Float;

/// Position of the `p`-quantile among `n > 0` sorted values: the lower index and the weight of the upper
/// neighbour.
pub(super) fn rank<T: Float>(n: usize, p: f64) -> (usize, T) {
    let rank = T::from_f64(p) * T::from_f64((n - 1) as f64);
    let below = rank.floor();
    // In `f32` the rank of a very long tensor may round up past its end.
    ((below.to_f64() as usize).min(n - 1), rank - below)
}

/// `low + weight·(high - low)`, from whichever end is nearer, so that a weight of 1 gives `high` exactly. The
/// product and the sum round once together, as in `torch.lerp`.
fn interpolate<T: Float>(low: T, high: T, weight: T) -> T {
    let gap = high - low;
    if weight < T::from_f64(0.5) {
        weight.mul_add(gap, low)
    } else {
        (weight - T::from_f64(1.0)).mul_add(gap, high)
    }
}

/// The `p`-quantile (`0 ≤ p ≤ 1`) of ascending values, 0 of none.
pub fn quantile_sorted<T: Float>(sorted: &[T], p: f64) -> T {
    if sorted.is_empty() {
        return T::ZERO;
    }
    let (low, weight) = rank(sorted.len(), p);
    interpolate(sorted[low], sorted[(low + 1).min(sorted.len() - 1)], weight)
}

/// The `p`-quantile of values in any order, 0 of none; reorders them. Linear time.
pub fn quantile<T: Float>(values: &mut [T], p: f64) -> T {
    if values.is_empty() {
        return T::ZERO;
    }
    let (low, weight) = rank(values.len(), p);
    let (_, &mut below, above) = values.select_nth_unstable_by(low, T::total_cmp);
    let next = above.iter().copied().reduce(T::min).unwrap_or(below);
    interpolate(below, next, weight)
}

/// Orders `values` just enough for [`quantile_sorted`] at `p` and anything above it: for the high percentiles
/// of a row that is linear time instead of a sort.
pub fn sort_from<T: Float>(values: &mut [T], p: f64) {
    if values.is_empty() {
        return;
    }
    let (low, _) = rank::<T>(values.len(), p);
    values.select_nth_unstable_by(low, T::total_cmp);
    values[low..].sort_unstable_by(T::total_cmp);
}

/// Replaces the contents of `into` with the magnitudes of `values`.
pub fn magnitudes<T: Float>(values: &[T], into: &mut Vec<T>) {
    into.clear();
    into.extend(values.iter().map(|x| x.abs()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrambled(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + 13) % 1009) as f32 * 0.37).collect()
    }

    #[test]
    fn selection_and_sorting_agree() {
        for n in [1, 2, 3, 64, 300, 1537] {
            let mut sorted = scrambled(n);
            sorted.sort_unstable_by(f32::total_cmp);
            let mut partly = scrambled(n);
            sort_from(&mut partly, 0.9);
            for p in [0.0, 0.03, 0.5, 0.9, 0.9995, 0.999_998_4, 1.0] {
                let exact = quantile_sorted(&sorted, p);
                assert_eq!(quantile(&mut scrambled(n), p), exact, "n {n} p {p}");
                if p >= 0.9 {
                    assert_eq!(quantile_sorted(&partly, p), exact, "n {n} p {p}");
                }
            }
        }
    }

    #[test]
    fn the_ends_are_the_smallest_and_the_largest_value() {
        let mut values = vec![3.0f64, -1.0, 2.0];
        assert_eq!(quantile(&mut values, 0.0), -1.0);
        assert_eq!(quantile(&mut values, 1.0), 3.0);
        assert_eq!(quantile(&mut values, 0.25), 0.5);
        assert_eq!(quantile::<f32>(&mut [], 0.5), 0.0);
    }

    #[test]
    fn the_rank_is_formed_in_the_precision_of_the_data() {
        // p is no f32 number: its rank among 1537 values differs by 3e-5 between the precisions.
        let single: Vec<f32> = (0..1537).map(|i| i as f32).collect();
        let double: Vec<f64> = (0..1537).map(f64::from).collect();
        assert_eq!(quantile_sorted(&single, 0.9995), 0.9995f32 * 1536.0);
        assert_eq!(quantile_sorted(&double, 0.9995), 0.9995 * 1536.0);
        assert_ne!(f64::from(quantile_sorted(&single, 0.9995)), quantile_sorted(&double, 0.9995));
    }

    #[test]
    fn a_rank_rounded_past_the_end_stays_inside() {
        let (low, _) = rank::<f32>((1 << 24) + 4, 1.0);
        assert_eq!(low, (1 << 24) + 3);
    }
}
