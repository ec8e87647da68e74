//! Launches of `hash_bucket` and `hash_bucket_at`: every hash is a row of multipliers.

use crate::kernel::{ELEMENTS, Kernel, Param, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{HashBucket, HashBucketAt, HashKind, HashTerms};

static SOURCE: Source = Source { file: "hash_bucket.cu", text: include_str!("hash_bucket.cu") };
static HASH_BUCKET: Kernel =
    Kernel { source: &SOURCE, entry: "hash_bucket", signature: "rwuuuuuuuuuuu", threads: ELEMENTS };
static HASH_BUCKET_AT: Kernel =
    Kernel { source: &SOURCE, entry: "hash_bucket_at", signature: "rrrwuuuuuuuuuuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&HASH_BUCKET, &HASH_BUCKET_AT];

pub(super) fn hash_bucket(op: &HashBucket, low: &mut Lowering<'_>) {
    let params = params(op.kind, op.buckets, op.seq);
    low.launch_elements(&HASH_BUCKET, vec![Input(0), Output(0)], low.output(0).numel(), &params);
}

pub(super) fn at(op: &HashBucketAt, low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    low.launch_elements(&HASH_BUCKET_AT, bindings, low.output(0).numel(), &params(op.kind, op.buckets, 0));
}

fn params(kind: HashKind, buckets: usize, seq: usize) -> Vec<Param> {
    let HashTerms { multipliers, back, adds, modulus } = kind.terms(buckets);
    let mut params: Vec<Param> = vec![seq.into(), back.into(), adds.into(), modulus.into()];
    params.extend(multipliers.iter().flat_map(|m| [*m as u32, (m >> 32) as u32]).map(Param::U32));
    params
}
