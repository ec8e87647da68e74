//! `cache_write`: rows copied into the cache, which is the result.

use crate::cpu::launch::Launch;

/// `(cache[w,d], x[n,d], position) → cache[w,d]` in place.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let (x, position) = (launch.inputs[1], launch.inputs[2].position());
    let [_, d] = x.matrix();
    let [cache] = launch.results();
    cache[position * d..][..x.f32s().len()].copy_from_slice(x.f32s());
}
