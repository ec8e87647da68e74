//! `smear_gate` by rows, each with its predecessor (forward) or successor (gradient) in its window.

use super::gated_skip::open_and_shut;
use crate::cpu::launch::Launch;
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{madd, vector};
use crate::ops::{SmearGate, SmearGateGrad};

/// `(x[n,d], gate[d]) → (1-g)⊙x_t + g⊙x_{t-1}`.
pub(in crate::cpu) fn run(op: &SmearGate, mut launch: Launch<'_>) {
    let [x, gate] = launch.floats();
    let d = gate.len();
    let (open, shut) = open_and_shut(gate);
    let zeros = vec![0.0; d];
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * d).collect(), |index, y| {
        for (row, y) in y.chunks_exact_mut(d).enumerate() {
            let t = index * ROWS + row;
            let before = if t.is_multiple_of(op.seq) { &zeros } else { &x[(t - 1) * d..t * d] };
            let x = &x[t * d..(t + 1) * d];
            vector(
                #[inline(always)]
                || {
                    for ((((y, x), before), open), shut) in
                        y.iter_mut().zip(x).zip(before).zip(&open).zip(&shut)
                    {
                        *y = madd(*shut, *x, open * before);
                    }
                },
            );
        }
    });
}

/// `(x, gate, dy) → (dx, dgate)`.
pub(in crate::cpu) fn grad(op: &SmearGateGrad, mut launch: Launch<'_>) {
    let [x, gate, dy] = launch.floats();
    let d = gate.len();
    let (open, shut) = open_and_shut(gate);
    let zeros = vec![0.0; d];
    let [dx, dgate] = launch.results();
    let mut sums = ColumnSums::new(x.len() / d, d);
    let pieces = dx.chunks_mut(ROWS * d).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, (dx, sums)| {
        for (row, dx) in dx.chunks_exact_mut(d).enumerate() {
            let t = index * ROWS + row;
            let before = if t.is_multiple_of(op.seq) { &zeros } else { &x[(t - 1) * d..t * d] };
            let after = if (t + 1).is_multiple_of(op.seq) { &zeros } else { &dy[(t + 1) * d..(t + 2) * d] };
            let (x, dy) = (&x[t * d..(t + 1) * d], &dy[t * d..(t + 1) * d]);
            vector(
                #[inline(always)]
                || {
                    let tokens = x.iter().zip(before).zip(dy.iter().zip(after));
                    let channels = dx.iter_mut().zip(sums.iter_mut()).zip(tokens).zip(open.iter().zip(&shut));
                    for (((dx, sum), ((x, before), (dy, after))), (open, shut)) in channels {
                        *dx = madd(*shut, *dy, open * after);
                        *sum = madd(before - x, *dy, *sum);
                    }
                },
            );
        }
    });
    sums.finish(dgate);
    for c in 0..d {
        dgate[c] *= open[c] * shut[c];
    }
}
