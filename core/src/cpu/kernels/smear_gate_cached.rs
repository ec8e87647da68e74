//! `smear_gate_cached` row by row, the first with its predecessor from the cache.

use super::gated_skip::open_and_shut;
use crate::cpu::launch::Launch;
use crate::cpu::simd::{madd, vector};

/// `(x[n,d], gate[d], cache[w,d], position) → (1-g)⊙x_i + g⊙x_{i-1}`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x, gate, cache] = [0, 1, 2].map(|i| launch.inputs[i].f32s());
    let (d, position) = (gate.len(), launch.inputs[3].position());
    let (open, shut) = open_and_shut(gate);
    let zeros = vec![0.0; d];
    let cached = if position == 0 { &zeros } else { &cache[(position - 1) * d..position * d] };
    let [y] = launch.results();
    let before = std::iter::once(cached).chain(x.chunks_exact(d));
    for ((y, x), before) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(before) {
        vector(
            #[inline(always)]
            || {
                for ((((y, x), before), open), shut) in y.iter_mut().zip(x).zip(before).zip(&open).zip(&shut)
                {
                    *y = madd(*shut, *x, open * before);
                }
            },
        );
    }
}
