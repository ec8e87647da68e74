//! `hash_bucket`: the op's own integer arithmetic, window by window.

use crate::cpu::launch::Launch;
use crate::ops::HashBucket;

/// `(tokens i32[n]) → buckets i32[n]`.
pub(in crate::cpu) fn run(op: &HashBucket, mut launch: Launch<'_>) {
    let tokens = launch.inputs[0].i32s();
    let [y] = launch.results();
    let buckets: &mut [i32] = bytemuck::cast_slice_mut(y);
    for (window, buckets) in tokens.chunks_exact(op.seq).zip(buckets.chunks_exact_mut(op.seq)) {
        for (t, bucket) in buckets.iter_mut().enumerate() {
            *bucket = op.bucket(window, t);
        }
    }
}
