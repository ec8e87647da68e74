//! `scale_rows`, row by row.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ROWS;
use crate::cpu::simd::{dot, vector};

/// `(w[r,c], s[r]) → s ⊙ w`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let cols = launch.inputs[0].matrix()[1];
    let [w, s] = launch.floats();
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * cols).collect(), |index, y| {
        let first = index * ROWS;
        let rows = y.chunks_exact_mut(cols).zip(w[first * cols..].chunks_exact(cols)).zip(&s[first..]);
        vector(
            #[inline(always)]
            || {
                for ((y, w), s) in rows {
                    y.iter_mut().zip(w).for_each(|(y, w)| *y = s * w);
                }
            },
        );
    });
}

/// `(w[r,c], s[r], dy[r,c]) → (s ⊙ dy, Σ_c w ⊙ dy)`.
pub(in crate::cpu) fn grad(mut launch: Launch<'_>) {
    let cols = launch.inputs[0].matrix()[1];
    let [w, s, dy] = launch.floats();
    let [dw, ds] = launch.results();
    let pieces = dw.chunks_mut(ROWS * cols).zip(ds.chunks_mut(ROWS)).collect();
    launch.threads.each(pieces, |index, (dw, ds): (&mut [f32], &mut [f32])| {
        let first = index * ROWS;
        let operands = w[first * cols..].chunks_exact(cols).zip(dy[first * cols..].chunks_exact(cols));
        let rows = dw.chunks_exact_mut(cols).zip(ds).zip(operands).zip(&s[first..]);
        vector(
            #[inline(always)]
            || {
                for (((dw, ds), (w, dy)), s) in rows {
                    dw.iter_mut().zip(dy).for_each(|(dw, dy)| *dw = s * dy);
                    *ds = dot(w, dy);
                }
            },
        );
    });
}
