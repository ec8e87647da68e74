//! `add_scaled` by rows; the gradient's sums per channel in pieces joined in order.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{madd, vector};

/// `(x[n,d], scale[d], y[n,d]) → x + scale ⊙ y`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x, scale, y] = launch.floats();
    let d = scale.len();
    let [z] = launch.results();
    launch.threads.each(z.chunks_mut(ROWS * d).collect(), |index, z| {
        let at = index * ROWS * d;
        let rows = x[at..].chunks_exact(d).zip(y[at..].chunks_exact(d)).zip(z.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for ((x, y), z) in rows {
                    for (((z, x), y), scale) in z.iter_mut().zip(x).zip(y).zip(scale) {
                        *z = madd(*scale, *y, *x);
                    }
                }
            },
        );
    });
}

/// `(scale[d], y[n,d], dz[n,d]) → (dscale[d], dy[n,d])`.
pub(in crate::cpu) fn grad(mut launch: Launch<'_>) {
    let [scale, y, dz] = launch.floats();
    let d = scale.len();
    let [dscale, dy] = launch.results();
    let mut sums = ColumnSums::new(y.len() / d, d);
    let pieces = dy.chunks_mut(ROWS * d).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, (dy, dscale)| {
        let at = index * ROWS * d;
        let rows = y[at..].chunks_exact(d).zip(dz[at..].chunks_exact(d)).zip(dy.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for ((y, dz), dy) in rows {
                    let channels = dy.iter_mut().zip(dscale.iter_mut()).zip(y).zip(dz).zip(scale);
                    for ((((dy, dscale), y), dz), scale) in channels {
                        *dy = scale * dz;
                        *dscale = madd(*y, *dz, *dscale);
                    }
                }
            },
        );
    });
    sums.finish(dscale);
}
