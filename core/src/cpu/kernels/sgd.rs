//! `sgd`: one pass over parameter, momentum and gradient.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ELEMENTS;
use crate::cpu::simd::{madd, vector};
use crate::ops::Sgd;

/// `(p, m, g, clip[], lr_scale[]) → (p, m)` in place.
pub(in crate::cpu) fn run(op: &Sgd, mut launch: Launch<'_>) {
    let g = launch.inputs[2].f32s();
    let [clip, lr_scale] = [3, 4].map(|i| launch.inputs[i].item());
    if !clip.is_finite() {
        return;
    }
    let (clip, step, momentum) = (clip as f32, -(op.lr * lr_scale) as f32, op.momentum as f32);
    let [p, m] = launch.results();
    let pieces = p.chunks_mut(ELEMENTS).zip(m.chunks_mut(ELEMENTS));
    launch.threads.each(pieces.collect(), |index, (p, m)| {
        let g = &g[index * ELEMENTS..][..p.len()];
        vector(
            #[inline(always)]
            || {
                for ((p, m), g) in p.iter_mut().zip(m).zip(g) {
                    *m = madd(momentum, *m, clip * g);
                    *p = madd(step, *m, *p);
                }
            },
        );
    });
}
