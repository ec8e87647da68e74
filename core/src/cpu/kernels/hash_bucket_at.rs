//! `hash_bucket_at`: the op's own integer arithmetic.

use crate::cpu::launch::Launch;
use crate::ops::HashBucketAt;

/// `(tokens i32[n], before i32[2], position) → buckets i32[n]`.
pub(in crate::cpu) fn run(op: &HashBucketAt, mut launch: Launch<'_>) {
    let (tokens, before) = (launch.inputs[0].i32s(), launch.inputs[1].i32s());
    let position = launch.inputs[2].position();
    let [y] = launch.results();
    op.fill(tokens, before, position, bytemuck::cast_slice_mut(y));
}
