//! Launches of `hash_bucket` and `hash_bucket_at`: every hash is a row of multipliers.

use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{HashBucket, HashBucketAt, HashKind, HashTerms};

const WIDE: &str = include_str!("wide.wgsl");
const HASH: &str = include_str!("hash.wgsl");

static HASH_BUCKET: Kernel = Kernel {
    name: "hash_bucket",
    source: &[WIDE, HASH, include_str!("hash_bucket.wgsl")],
    entry: "hash_bucket",
    access: "rw",
};
static HASH_BUCKET_AT: Kernel = Kernel {
    name: "hash_bucket_at",
    source: &[WIDE, HASH, include_str!("hash_bucket_at.wgsl")],
    entry: "hash_bucket_at",
    access: "rrrw",
};

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

#[cfg(test)]
mod tests {
    use super::super::on_gpu;
    use super::*;
    use golf_core::tensor::Tensor;

    #[test]
    fn products_beyond_a_word_are_exact() {
        let Some(mut gpu) = on_gpu::open("products_beyond_a_word_are_exact") else { return };
        let token = |i: u32| (i.wrapping_mul(0x9e37_79b9) ^ 0x1234_5678) as i32 & i32::MAX;
        let tokens: Vec<i32> = (0..400).map(token).chain([0, 1, i32::MAX, 0xffff, 0x1_0000]).collect();
        let wide = HashKind::Trigram([0xffff_ffff, 0x1_2345_6789, 0xfedc_ba98]);
        for kind in [HashKind::BigramV1, HashKind::BigramV2, HashKind::TRIGRAM_S951, wide] {
            for buckets in [2, 3, 10_240, 65_537, i32::MAX as usize] {
                let op = HashBucket { kind, buckets, seq: 81 };
                let want: Vec<i32> = tokens
                    .chunks(op.seq)
                    .flat_map(|window| (0..op.seq).map(|t| op.bucket(window, t)).collect::<Vec<_>>())
                    .collect();
                let x = Tensor::i32(&[tokens.len()], tokens.clone());
                let got = on_gpu::run(&mut gpu, op, &[&x]);
                assert_eq!(got.i32s(), want, "{kind:?}, {buckets} buckets");
            }
        }
    }
}
