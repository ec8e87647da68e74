//! Compensated rounding onto a trellis: the way through the states whose outputs are closest.
//!
//! The sum of squared errors that GPTQ's recursion leaves behind is what a Viterbi search minimizes: of all ways into a state the
//! one with the least sum so far survives, with a row of its own that holds what its errors have made of the columns to come.
//! (The best way into a state may not be the beginning of the best way on, since survivors' rows differ; it is close.)
//!
//! Invariant: the integers of every row are a way through [`crate::quant::trellis`], in the order of the columns, so that a coder can
//! follow. Therefore columns are never reordered here.

use super::factor::add_scaled;
use crate::quant::trellis::{STATES, State};

/// A way into a state.
#[derive(Clone)]
struct Way {
    /// Sum of squared errors; infinite where no way leads.
    cost: f64,
    /// Weights of the row, compensated for the errors so far.
    row: Vec<f64>,
    q: Vec<i8>,
}

/// A step from a survivor to a state.
#[derive(Clone, Copy)]
struct Step {
    from: usize,
    q: i8,
    cost: f64,
    error: f64,
}

/// Integers `[rows, n]` in `±c` of `weights [rows, n]`; `upper [n, n]` as in [`super::Gptq`].
pub(super) fn round_rows(weights: &[f32], steps: &[f32], c: u32, upper: &[f64], n: usize) -> Vec<i8> {
    let fresh = Way { cost: f64::INFINITY, row: vec![0.0; n], q: vec![0; n] };
    let (mut ways, mut next) = (vec![fresh.clone(); STATES], vec![fresh; STATES]);
    let mut integers = Vec::with_capacity(weights.len());
    for (row, &step) in weights.chunks(n.max(1)).zip(steps) {
        ways.iter_mut().for_each(|way| way.cost = f64::INFINITY);
        ways[0].cost = 0.0;
        ways[0].row.iter_mut().zip(row).for_each(|(own, &w)| *own = f64::from(w));
        for j in 0..n {
            let factors = &upper[j * n..(j + 1) * n];
            let steps = arrivals(&ways, j, f64::from(step), c as i32, factors[j]);
            for (way, step) in next.iter_mut().zip(steps) {
                way.cost = f64::INFINITY;
                let Some(step) = step else { continue };
                let from = &ways[step.from];
                way.cost = step.cost;
                way.q[..j].copy_from_slice(&from.q[..j]);
                way.q[j] = step.q;
                way.row[j + 1..].copy_from_slice(&from.row[j + 1..]);
                add_scaled(&mut way.row[j + 1..], -step.error, &factors[j + 1..]);
            }
            std::mem::swap(&mut ways, &mut next);
        }
        let best = ways.iter().min_by(|a, b| a.cost.total_cmp(&b.cost)).expect("there are states");
        integers.extend_from_slice(&best.q);
    }
    integers
}

/// The best step into every state at column `j`; `None` where none leads.
fn arrivals(ways: &[Way], j: usize, step: f64, c: i32, divisor: f64) -> [Option<Step>; STATES] {
    let mut best: [Option<Step>; STATES] = [None; STATES];
    for (from, way) in ways.iter().enumerate().filter(|(_, way)| way.cost.is_finite()) {
        let (state, target) = (State::new(from), way.row[j] / step);
        for subset in [state.parity(), state.parity() + 2] {
            let Some(q) = nearest(target, subset, c) else { continue };
            let error = (way.row[j] - f64::from(q) * step) / divisor;
            let cost = way.cost + error * error;
            let slot = &mut best[state.after(q).index()];
            if slot.is_none_or(|other| cost < other.cost) {
                *slot = Some(Step { from, q: q as i8, cost, error });
            }
        }
    }
    best
}

/// The integer in `±c` nearest to `target` that leaves the rest `subset` (0 to 3) divided by four.
fn nearest(target: f64, subset: i32, c: i32) -> Option<i32> {
    let offset = f64::from(subset);
    let q = (((target - offset) / 4.0).round_ties_even() * 4.0 + offset).clamp(-1e9, 1e9) as i32;
    // The outermost ones of this subset.
    let (low, high) = (-c + (subset + c).rem_euclid(4), c - (c - subset).rem_euclid(4));
    (low <= high).then(|| q.clamp(low, high))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{N, ROWS, hessian, output_error, weights};
    use super::super::{Gptq, GptqOptions};
    use super::*;
    use crate::quant::trellis::follows;

    #[test]
    fn the_nearest_of_a_subset_stays_inside_the_bound() {
        for subset in 0..4 {
            for target in [-100.0, -7.4, -0.1, 0.0, 2.2, 6.9, 1e300] {
                let q = nearest(target, subset, 7).expect("fifteen integers hold every subset");
                assert_eq!(q.rem_euclid(4), subset % 4);
                assert!((-7..=7).contains(&q));
                let other = (-7..=7).filter(|x: &i32| x.rem_euclid(4) == subset % 4);
                let least = other.map(|x| (f64::from(x) - target).abs()).fold(f64::INFINITY, f64::min);
                assert!((f64::from(q) - target).abs() <= least, "{subset} {target} {q}");
            }
        }
        assert_eq!(nearest(0.0, 2, 1), None);
    }

    #[test]
    fn rows_follow_the_trellis_and_err_less_than_every_other_point_would() {
        let options = GptqOptions { act_order: false, ..GptqOptions::default() };
        let gptq = Gptq::new(&hessian(), options).expect("positive definite");
        let (w, fine, coarse) = (weights(), vec![0.1f32; ROWS], vec![0.2f32; ROWS]);
        let on_trellis = gptq.quantize_trellis(&w, &fine, 31).expect("shapes agree");
        assert!(follows(on_trellis.iter().map(|&q| i32::from(q)), N));
        assert!(on_trellis.iter().all(|q| (-31..=31).contains(q)));
        // The same number of points in every state.
        let plain = gptq.quantize(&w, &coarse, 15).expect("shapes agree");
        let (trellis, plain) = (output_error(&on_trellis, &fine), output_error(&plain, &coarse));
        assert!(trellis < 0.9 * plain, "{trellis} {plain}");
    }

    #[test]
    fn a_matrix_of_zeros_stays_zero_where_the_states_allow() {
        let identity: Vec<f32> = (0..N * N).map(|k| if k / N == k % N { 1.0 } else { 0.0 }).collect();
        let options = GptqOptions { act_order: false, ..GptqOptions::default() };
        let gptq = Gptq::new(&identity, options).expect("positive definite");
        let q = gptq.quantize_trellis(&[0.0; N], &[0.5], 7).expect("shapes agree");
        assert_eq!(q, [0; N], "state 0 leads to itself by 0");
    }
}
