//! `residual_mix_norm` row by row; its gradient's sums per channel in pieces joined in order. Every number comes out as those
//! of the ops that it stands for, to the bit.

use super::residual_mix::mix_row;
use super::rms_norm::{add_row_grad, inverse_rms};
use crate::cpu::launch::Launch;
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{dot, madd, vector};
use crate::cpu::threads::with_scratch;
use crate::ops::{ResidualMixNorm, ResidualMixNormGrad, ResidualMixNormGradAdd};

/// `(x[n,d], x0[n,d], mix[2,d]) → (m, h)`.
pub(in crate::cpu) fn run(op: &ResidualMixNorm, mut launch: Launch<'_>) {
    let [x, x0, mix] = launch.floats();
    let (d, scale) = (mix.len() / 2, op.scale as f32);
    let mix = mix.split_at(d);
    let [m, h] = launch.results();
    let pieces = m.chunks_mut(ROWS * d).zip(h.chunks_mut(ROWS * d)).collect();
    launch.threads.each(pieces, |index, (m, h): (&mut [f32], &mut [f32])| {
        let at = index * ROWS * d;
        let operands = x[at..].chunks_exact(d).zip(x0[at..].chunks_exact(d));
        let rows = operands.zip(m.chunks_exact_mut(d).zip(h.chunks_exact_mut(d)));
        vector(
            #[inline(always)]
            || {
                for ((x, x0), (m, h)) in rows {
                    mix_row(x, x0, mix, m);
                    let factor = inverse_rms(m) * scale;
                    h.iter_mut().zip(m).for_each(|(h, m)| *h = factor * *m);
                }
            },
        );
    });
}

/// `(x, x0, mix, dh, dm) → (dx, dx0, dmix)`, `dx` in place of `dm`.
pub(in crate::cpu) fn grad(op: &ResidualMixNormGrad, launch: Launch<'_>) {
    rows_of_grad(
        op,
        launch,
        #[inline(always)]
        |dx0, term| *dx0 = term,
    );
}

/// `(x, x0, mix, dh, dm, sum) → (dx, sum + dx0, dmix)`, in place of `dm` and of `sum`.
pub(in crate::cpu) fn grad_add(op: &ResidualMixNormGradAdd, launch: Launch<'_>) {
    rows_of_grad(
        &op.grad,
        launch,
        #[inline(always)]
        |sum, term| *sum += term,
    );
}

/// The gradient, with `put` for every entry of the second result.
#[inline(always)]
fn rows_of_grad(op: &ResidualMixNormGrad, mut launch: Launch<'_>, put: impl Fn(&mut f32, f32) + Sync) {
    let [x, x0, mix, dh] = [0, 1, 2, 3].map(|i| launch.inputs[i].f32s());
    let (d, scale) = (mix.len() / 2, op.scale as f32);
    let mix = mix.split_at(d);
    let [dx, dx0, dmix] = launch.results();
    let mut sums = ColumnSums::new(x.len() / d, 2 * d);
    let pieces = dx.chunks_mut(ROWS * d).zip(dx0.chunks_mut(ROWS * d)).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, ((dx, dx0), sums)| {
        let (with_x, with_x0) = sums.split_at_mut(d);
        with_scratch(d, |m| {
            for (row, (dx, dx0)) in dx.chunks_exact_mut(d).zip(dx0.chunks_exact_mut(d)).enumerate() {
                let at = (index * ROWS + row) * d;
                let [x, x0, dh] = [x, x0, dh].map(|operand| &operand[at..at + d]);
                vector(
                    #[inline(always)]
                    || {
                        mix_row(x, x0, mix, m);
                        add_row_grad(m, dh, scale, inverse_rms(m), dot(m, dh), dx);
                        let results = dx.iter_mut().zip(dx0).zip(with_x.iter_mut().zip(with_x0.iter_mut()));
                        let channels = results.zip(x.iter().zip(x0)).zip(mix.0.iter().zip(mix.1));
                        for ((((dx, dx0), (with_x, with_x0)), (x, x0)), (of_x, of_x0)) in channels {
                            let g = *dx;
                            *dx = of_x * g;
                            put(dx0, of_x0 * g);
                            *with_x = madd(*x, g, *with_x);
                            *with_x0 = madd(*x0, g, *with_x0);
                        }
                    },
                );
            }
        });
    });
    sums.finish(dmix);
}
