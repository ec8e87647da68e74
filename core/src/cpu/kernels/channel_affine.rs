//! `channel_affine` by rows; the gradient's sums per channel in pieces joined in order.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{madd, vector};

/// `(x[n,d], scale[d], bias[d]) → scale ⊙ x + bias`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x, scale, bias] = launch.floats();
    let d = scale.len();
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * d).collect(), |index, y| {
        let rows = x[index * ROWS * d..].chunks_exact(d).zip(y.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for (x, y) in rows {
                    for (((y, x), scale), bias) in y.iter_mut().zip(x).zip(scale).zip(bias) {
                        *y = madd(*scale, *x, *bias);
                    }
                }
            },
        );
    });
}

/// `(x[n,d], scale[d], dy[n,d]) → (dx[n,d], dscale[d], dbias[d])`.
pub(in crate::cpu) fn grad(mut launch: Launch<'_>) {
    let [x, scale, dy] = launch.floats();
    let d = scale.len();
    let [dx, dscale, dbias] = launch.results();
    let mut sums = ColumnSums::new(x.len() / d, 2 * d);
    let pieces = dx.chunks_mut(ROWS * d).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, (dx, sums)| {
        let (dscale, dbias) = sums.split_at_mut(d);
        let at = index * ROWS * d;
        let rows = x[at..].chunks_exact(d).zip(dy[at..].chunks_exact(d)).zip(dx.chunks_exact_mut(d));
        vector(
            #[inline(always)]
            || {
                for ((x, dy), dx) in rows {
                    let totals = dscale.iter_mut().zip(dbias.iter_mut());
                    let channels = dx.iter_mut().zip(totals).zip(x).zip(dy).zip(scale);
                    for ((((dx, (dscale, dbias)), x), dy), scale) in channels {
                        *dx = scale * dy;
                        *dscale = madd(*x, *dy, *dscale);
                        *dbias += dy;
                    }
                }
            },
        );
    });
    let mut totals = vec![0.0; 2 * d];
    sums.finish(&mut totals);
    dscale.copy_from_slice(&totals[..d]);
    dbias.copy_from_slice(&totals[d..]);
}
