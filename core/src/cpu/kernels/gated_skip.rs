//! `gated_skip` by rows; gates are squashed once, sums per channel come in pieces joined in order.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{madd, vector};

/// `sigmoid` of every gate, and one minus it, both formed in f64.
pub(super) fn open_and_shut(gate: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let of = |sign: f64| gate.iter().map(|&g| sigmoid(sign * f64::from(g)) as f32).collect();
    (of(1.0), of(-1.0))
}

/// `(x[n,d], s[n,d], weight[d], gate[d]) → γ⊙x + (1-γ)⊙weight⊙s`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x, s, weight, gate] = launch.floats();
    let d = gate.len();
    let (open, shut) = open_and_shut(gate);
    let skip: Vec<f32> = shut.iter().zip(weight).map(|(shut, weight)| shut * weight).collect();
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * d).collect(), |index, y| {
        let at = index * ROWS * d;
        let rows = x[at..].chunks_exact(d).zip(s[at..].chunks_exact(d)).zip(y.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for ((x, s), y) in rows {
                    for ((((y, x), s), open), skip) in y.iter_mut().zip(x).zip(s).zip(&open).zip(&skip) {
                        *y = madd(*open, *x, skip * s);
                    }
                }
            },
        );
    });
}

/// `(x, s, weight, gate, dy) → (dx, ds, dweight, dgate)`.
pub(in crate::cpu) fn grad(mut launch: Launch<'_>) {
    let [x, s, weight, gate, dy] = launch.floats();
    let d = gate.len();
    let (open, shut) = open_and_shut(gate);
    let [dx, ds, dweight, dgate] = launch.results();
    let mut sums = ColumnSums::new(x.len() / d, 2 * d);
    let pieces = dx.chunks_mut(ROWS * d).zip(ds.chunks_mut(ROWS * d)).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, ((dx, ds), sums)| {
        let (with_s, with_x) = sums.split_at_mut(d);
        for (row, (dx, ds)) in dx.chunks_exact_mut(d).zip(ds.chunks_exact_mut(d)).enumerate() {
            let at = (index * ROWS + row) * d;
            let (x, s, dy) = (&x[at..at + d], &s[at..at + d], &dy[at..at + d]);
            vector(
                #[inline(always)]
                || {
                    let results = dx.iter_mut().zip(ds).zip(with_s.iter_mut().zip(with_x.iter_mut()));
                    let channels =
                        results.zip(x.iter().zip(s).zip(dy)).zip(open.iter().zip(&shut).zip(weight));
                    for ((((dx, ds), (with_s, with_x)), ((x, s), dy)), ((open, shut), weight)) in channels {
                        *dx = open * dy;
                        *ds = shut * weight * dy;
                        *with_s = madd(*s, *dy, *with_s);
                        *with_x = madd(madd(-*weight, *s, *x), *dy, *with_x);
                    }
                },
            );
        }
    });
    let mut totals = vec![0.0; 2 * d];
    sums.finish(&mut totals);
    for c in 0..d {
        dweight[c] = shut[c] * totals[c];
        dgate[c] = open[c] * shut[c] * totals[d + c];
    }
}
