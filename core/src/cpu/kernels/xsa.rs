//! `xsa` token by token; a value's heads are adjacent, so its gradient is summed on the spot.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ROWS;
use crate::cpu::simd::{add_scaled, dot, madd, vector};
use crate::cpu::threads::with_scratch;
use crate::ops::{Xsa, XsaGrad};

/// Smallest norm that a value is divided by.
const MIN_NORM: f32 = 1e-12;

/// Norm of a value, clamped. Squares of tiny entries would underflow, so it is formed from scaled ones there.
#[inline(always)]
fn norm(v: &[f32]) -> f32 {
    let squares = dot(v, v);
    if squares > 1e-30 {
        return squares.sqrt();
    }
    let exact = v.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
    (exact.sqrt() as f32).max(MIN_NORM)
}

/// `(y[n,h·c], v[n,g·c]) → z = y - (y·v̂)v̂`.
pub(in crate::cpu) fn run(op: &Xsa, mut launch: Launch<'_>) {
    let [_, cols] = launch.inputs[0].matrix();
    let (width, group) = (cols / op.heads, op.heads / op.kv_heads);
    let [y, v] = launch.floats();
    let [z] = launch.results();
    launch.threads.each(z.chunks_mut(ROWS * cols).collect(), |index, z| {
        let values = v[index * ROWS * op.kv_heads * width..].chunks_exact(width);
        let groups =
            y[index * ROWS * cols..].chunks_exact(group * width).zip(z.chunks_exact_mut(group * width));
        vector(
            #[inline(always)]
            || {
                for (v, (y, z)) in values.zip(groups) {
                    let inverse = 1.0 / norm(v);
                    for (y, z) in y.chunks_exact(width).zip(z.chunks_exact_mut(width)) {
                        let factor = -(dot(y, v) * inverse) * inverse;
                        z.iter_mut().zip(y).zip(v).for_each(|((z, y), v)| *z = madd(factor, *v, *y));
                    }
                }
            },
        );
    });
}

/// `(y, v, dz) → (dy, dv)`.
pub(in crate::cpu) fn grad(op: &XsaGrad, mut launch: Launch<'_>) {
    let [_, cols] = launch.inputs[0].matrix();
    let (width, group) = (cols / op.heads, op.heads / op.kv_heads);
    let [y, v, dz] = launch.floats();
    let [dy, dv] = launch.results();
    let pieces = dy.chunks_mut(ROWS * cols).zip(dv.chunks_mut(ROWS * op.kv_heads * width)).collect();
    launch.threads.each(pieces, |index, (dy, dv)| {
        let at = index * ROWS * cols;
        let values = v[at / group..].chunks_exact(width).zip(dv.chunks_exact_mut(width));
        let heads = y[at..].chunks_exact(width).zip(dz[at..].chunks_exact(width));
        let mut heads = heads.zip(dy.chunks_exact_mut(width));
        with_scratch(2 * width, |scratch| {
            let (unit, dunit) = scratch.split_at_mut(width);
            vector(
                #[inline(always)]
                || {
                    for (v, dv) in values {
                        let norm = norm(v);
                        unit.iter_mut().zip(v).for_each(|(unit, v)| *unit = v / norm);
                        dunit.fill(0.0);
                        for ((y, dz), dy) in heads.by_ref().take(group) {
                            let (a, g) = (dot(y, unit), dot(dz, unit));
                            dy.iter_mut()
                                .zip(dz)
                                .zip(&*unit)
                                .for_each(|((dy, dz), u)| *dy = madd(-g, *u, *dz));
                            add_scaled(dunit, -g, y);
                            add_scaled(dunit, -a, dz);
                        }
                        let along = if norm > MIN_NORM { dot(dunit, unit) } else { 0.0 };
                        let channels = dv.iter_mut().zip(&*dunit).zip(&*unit);
                        channels.for_each(|((dv, du), u)| *dv = madd(-along, *u, *du) / norm);
                    }
                },
            );
        });
    });
}
