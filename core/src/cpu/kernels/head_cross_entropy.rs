//! `head_cross_entropy` and its gradient, some rows at a time: the `n × v` logits never exist at once.
//!
//! The embedding is transposed once per launch, because products of two row-major matrices need no repacking.

use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product, product_tiled, transpose_tiled};
use crate::cpu::simd::{Exp, madd, map_sum, max, vector};
use crate::cpu::threads::with_scratch;
use crate::ops::{HeadCrossEntropy, HeadCrossEntropyGrad};

/// Rows whose logits are formed together.
const ROWS: usize = 64;

/// Logits that the gradient keeps at once, so that the sum over tokens towards the embedding has depth.
const KEPT: usize = 1 << 20;

/// `z = x·eᵀ` for some rows, squashed to `cap·tanh(z/cap)`.
fn logits(z: &mut [f32], x: &[f32], embedding_t: View<'_>, [rows, d, v]: [usize; 3], cap: f64) {
    product(ViewMut::new(z, rows, v, v), Old::Drop, 1.0, View::new(x, rows, d, d), embedding_t);
    let (cap, inverse) = (cap as f32, (1.0 / cap) as f32);
    vector(
        #[inline(always)]
        || {
            let exp = Exp::for_loop();
            z.iter_mut().for_each(|z| *z = cap * exp.tanh(*z * inverse));
        },
    );
}

/// `(x[n,d], e[v,d], targets i32[n]) → (nll[n], lse[n])`.
pub(in crate::cpu) fn run(op: &HeadCrossEntropy, mut launch: Launch<'_>) {
    let ([_, d], [v, _]) = (launch.inputs[0].matrix(), launch.inputs[1].matrix());
    let (x, targets) = (launch.inputs[0].f32s(), launch.inputs[2].i32s());
    let embedding = launch.inputs[1].dense(launch.threads);
    let [nll, lse] = launch.results();
    let embedding_t = launch.scratch.at_least(v * d);
    transpose_tiled(launch.threads, embedding_t, &embedding, v, d);
    let embedding_t = View::new(embedding_t, d, v, v);
    let pieces = nll.chunks_mut(ROWS).zip(lse.chunks_mut(ROWS)).collect();
    launch.threads.each(pieces, |index, (nll, lse)| {
        let (first, rows) = (index * ROWS, nll.len());
        with_scratch(rows * v, |z| {
            logits(z, &x[first * d..], embedding_t, [rows, d, v], op.softcap);
            for (row, z) in z.chunks_exact_mut(v).enumerate() {
                let of_target = z[targets[first + row] as usize];
                vector(
                    #[inline(always)]
                    || {
                        let (exp, top) = (Exp::for_loop(), max(z));
                        let total = map_sum(
                            z,
                            #[inline(always)]
                            |z| exp.nonpositive(z - top),
                        );
                        lse[row] = top + total.ln();
                    },
                );
                nll[row] = lse[row] - of_target;
            }
        });
    });
}

/// Turns squashed logits of one row into `dz = (p - 1[target])·dnll·(1 - (ℓ/cap)²)`.
fn towards_logits(z: &mut [f32], target: usize, lse: f32, dnll: f32, cap: f64) {
    let inverse = (1.0 / cap) as f32;
    let slope = |l: f32| madd(-(l * inverse), l * inverse, 1.0);
    let l = z[target];
    vector(
        #[inline(always)]
        || {
            let exp = Exp::for_loop();
            z.iter_mut().for_each(|z| *z = exp.nonpositive(*z - lse) * dnll * slope(*z));
        },
    );
    z[target] -= dnll * slope(l);
}

/// `(x[n,d], e[v,d], targets[n], lse[n], dnll[n]) → (dx[n,d], de[v,d]?)`.
pub(in crate::cpu) fn grad(op: &HeadCrossEntropyGrad, mut launch: Launch<'_>) {
    let ([n, d], [v, _]) = (launch.inputs[0].matrix(), launch.inputs[1].matrix());
    let (x, targets) = (launch.inputs[0].f32s(), launch.inputs[2].i32s());
    let (lse, dnll) = (launch.inputs[3].f32s(), launch.inputs[4].f32s());
    let embedding = launch.inputs[1].dense(launch.threads);
    let mut outputs = std::mem::take(&mut launch.outputs).into_iter();
    let dx = outputs.next().expect("`infer` gives at least one result");
    let mut de = outputs.next();
    let together = (KEPT / v / ROWS).max(1) * ROWS;
    let (embedding_t, kept) = launch.scratch.at_least(v * d + together.min(n) * v).split_at_mut(v * d);
    transpose_tiled(launch.threads, embedding_t, &embedding, v, d);
    let (embedding, embedding_t) = (View::new(&embedding, v, d, d), View::new(embedding_t, d, v, v));
    for (block, dx) in dx.chunks_mut(together * d).enumerate() {
        let (start, rows) = (block * together, dx.len() / d);
        let dz = &mut kept[..rows * v];
        let pieces = dz.chunks_mut(ROWS * v).zip(dx.chunks_mut(ROWS * d)).collect();
        launch.threads.each(pieces, |index, (dz, dx)| {
            let (first, rows) = (start + index * ROWS, dz.len() / v);
            logits(dz, &x[first * d..], embedding_t, [rows, d, v], op.softcap);
            for (row, dz) in dz.chunks_exact_mut(v).enumerate() {
                let token = first + row;
                towards_logits(dz, targets[token] as usize, lse[token], dnll[token], op.softcap);
            }
            product(ViewMut::new(dx, rows, d, d), Old::Drop, 1.0, View::new(dz, rows, v, v), embedding);
        });
        if let Some(de) = de.as_mut() {
            let old = if block == 0 { Old::Drop } else { Old::Add };
            let (dz, x) = (View::new(dz, rows, v, v), View::new(&x[start * d..], rows, d, d));
            product_tiled(launch.threads, ViewMut::new(de, v, d, d), old, 1.0, dz.t(), x);
        }
    }
}
