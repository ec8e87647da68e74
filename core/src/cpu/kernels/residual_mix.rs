//! `residual_mix` by rows; the gradient's sums per channel in pieces joined in order.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{madd, vector};

/// `m = mix.0⊙x + mix.1⊙x0` of one row.
#[inline(always)]
pub(super) fn mix_row(x: &[f32], x0: &[f32], mix: (&[f32], &[f32]), m: &mut [f32]) {
    let channels = m.iter_mut().zip(x).zip(x0).zip(mix.0).zip(mix.1);
    for ((((m, x), x0), of_x), of_x0) in channels {
        *m = madd(*of_x, *x, of_x0 * x0);
    }
}

/// `(x[n,d], x0[n,d], mix[2,d]) → mix[0]⊙x + mix[1]⊙x0`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x, x0, mix] = launch.floats();
    let d = mix.len() / 2;
    let mix = mix.split_at(d);
    let [m] = launch.results();
    launch.threads.each(m.chunks_mut(ROWS * d).collect(), |index, m| {
        let at = index * ROWS * d;
        let rows = x[at..].chunks_exact(d).zip(x0[at..].chunks_exact(d)).zip(m.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for ((x, x0), m) in rows {
                    mix_row(x, x0, mix, m);
                }
            },
        );
    });
}

/// `(x, x0, mix, dm) → (dx, dx0, dmix)`.
pub(in crate::cpu) fn grad(mut launch: Launch<'_>) {
    let [x, x0, mix, dm] = launch.floats();
    let d = mix.len() / 2;
    let (of_x, of_x0) = mix.split_at(d);
    let [dx, dx0, dmix] = launch.results();
    let mut sums = ColumnSums::new(x.len() / d, 2 * d);
    let pieces = dx.chunks_mut(ROWS * d).zip(dx0.chunks_mut(ROWS * d)).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, ((dx, dx0), sums)| {
        let (with_x, with_x0) = sums.split_at_mut(d);
        for (row, (dx, dx0)) in dx.chunks_exact_mut(d).zip(dx0.chunks_exact_mut(d)).enumerate() {
            let at = (index * ROWS + row) * d;
            let (x, x0, dm) = (&x[at..at + d], &x0[at..at + d], &dm[at..at + d]);
            vector(
                #[inline(always)]
                || {
                    let results = dx.iter_mut().zip(dx0).zip(with_x.iter_mut().zip(with_x0.iter_mut()));
                    let channels = results.zip(x.iter().zip(x0).zip(dm)).zip(of_x.iter().zip(of_x0));
                    for ((((dx, dx0), (with_x, with_x0)), ((x, x0), dm)), (of_x, of_x0)) in channels {
                        *dx = of_x * dm;
                        *dx0 = of_x0 * dm;
                        *with_x = madd(*x, *dm, *with_x);
                        *with_x0 = madd(*x0, *dm, *with_x0);
                    }
                },
            );
        }
    });
    sums.finish(dmix);
}
