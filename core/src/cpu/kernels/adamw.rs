//! `adamw`: one pass over parameter, moments and gradient. Factors are formed in f64.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ELEMENTS;
use crate::cpu::simd::{madd, vector};
use crate::ops::AdamW;

/// `(p, m, v, g, clip[], lr_scale[], bias1[], bias2[]) → (p, m, v)` in place.
pub(in crate::cpu) fn run(op: &AdamW, mut launch: Launch<'_>) {
    let g = launch.inputs[3].f32s();
    let [clip, lr_scale, bias1, bias2] = [4, 5, 6, 7].map(|i| launch.inputs[i].item());
    if !clip.is_finite() {
        return;
    }
    let lr = op.lr * lr_scale;
    let (clip, epsilon) = (clip as f32, op.epsilon as f32);
    let (keep1, new1) = (op.beta1 as f32, (1.0 - op.beta1) as f32);
    let (keep2, new2) = (op.beta2 as f32, (1.0 - op.beta2) as f32);
    let (decay, step) = ((1.0 - lr * op.weight_decay) as f32, (lr / bias1) as f32);
    let unbias = (1.0 / bias2.sqrt()) as f32;
    let [p, m, v] = launch.results();
    let pieces = p.chunks_mut(ELEMENTS).zip(m.chunks_mut(ELEMENTS)).zip(v.chunks_mut(ELEMENTS));
    launch.threads.each(pieces.collect(), |index, ((p, m), v)| {
        let g = &g[index * ELEMENTS..][..p.len()];
        vector(
            #[inline(always)]
            || {
                for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
                    let g = clip * g;
                    *m = madd(keep1, *m, new1 * g);
                    *v = madd(keep2, *v, new2 * g * g);
                    *p = madd(decay, *p, -step * *m / madd(v.sqrt(), unbias, epsilon));
                }
            },
        );
    });
}
