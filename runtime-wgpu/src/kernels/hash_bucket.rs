//! Launch of `hash_bucket`: every hash is a row of multipliers.

use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{HashBucket, HashKind};

static HASH_BUCKET: Kernel = Kernel {
    name: "hash_bucket",
    source: &[include_str!("wide.wgsl"), include_str!("hash_bucket.wgsl")],
    entry: "hash_bucket",
    access: "rw",
};

pub(super) const KERNELS: &[&Kernel] = &[&HASH_BUCKET];

pub(super) fn hash_bucket(op: &HashBucket, low: &mut Lowering<'_>) {
    // Multipliers of the token and its predecessors; how many of those it needs; whether products are added, and a
    // missing predecessor is token 0, instead of joined by exclusive or and sent to the last bucket; the modulus.
    let (multipliers, back, adds, modulus) = match op.kind {
        HashKind::BigramV1 => ([36313, 27191, 0], 1, false, op.buckets - 1),
        HashKind::BigramV2 => ([1, 1009, 0], 1, true, op.buckets),
        HashKind::Trigram(multipliers) => (multipliers, 2, false, op.buckets - 1),
    };
    let mut params: Vec<Param> = vec![op.seq.into(), back.into(), adds.into(), modulus.into()];
    params.extend(multipliers.iter().flat_map(|m| [*m as u32, (m >> 32) as u32]).map(Param::U32));
    low.launch_elements(&HASH_BUCKET, vec![Input(0), Output(0)], low.output(0).numel(), &params);
}
