//! Ends of the model: lookups, hashes, and the cross-entropy.

use super::Case;
use crate::draw::{Draw, evaluate};
use golf_core::ops::*;
use golf_core::tensor::Tensor;

/// Widths that operands are packed to.
pub(super) const BITS: [u32; 4] = [4, 5, 6, 8];

pub(super) fn embed() -> Vec<Case> {
    let plain = |[n, v, d]: [usize; 3]| {
        let mut draw = Draw::new(n as u64);
        Case::new(format!("{n} of {v}x{d}"), Embed, vec![draw.ids(n, v), draw.floats(&[v, d], 1.0)])
    };
    let packed = |bits: u32| {
        let mut draw = Draw::new(u64::from(bits));
        Case::new(format!("{bits} bits"), Embed, vec![draw.ids(75, 19), draw.packed(bits, 19, 37)])
    };
    [[1, 1, 1], [40, 7, 5], [130, 50, 33]].into_iter().map(plain).chain(BITS.map(packed)).collect()
}

pub(super) fn embed_grad() -> Vec<Case> {
    // Few rows repeat often; more rows than tokens stay zero.
    let case = |[n, v, d]: [usize; 3]| {
        let mut draw = Draw::new(n as u64);
        Case::new(
            format!("{n} of {v}x{d}"),
            EmbedGrad { rows: v },
            vec![draw.ids(n, v), draw.floats(&[n, d], 1.0)],
        )
    };
    [[1, 1, 1], [40, 3, 5], [20, 100, 33]].map(case).into()
}

pub(super) fn hash_bucket() -> Vec<Case> {
    let kinds = [HashKind::BigramV1, HashKind::BigramV2, HashKind::Trigram([36313, 27191, 51497])];
    let case = |(kind, [windows, seq]): (HashKind, [usize; 2])| {
        let op = HashBucket { kind, buckets: 2048, seq };
        Case::new(
            format!("{kind:?}, {windows} windows of {seq}"),
            op,
            vec![Draw::new(6).ids(windows * seq, 1024)],
        )
    };
    let windows = [[1, 1], [4, 2], [2, 50]];
    kinds.into_iter().flat_map(|kind| windows.map(|w| (kind, w))).map(case).collect()
}

/// `(tokens, vocabulary, channels, scale of x)`: around pieces of 64 rows; small, and saturated logits.
/// The last has more logits than a backend may hold at once.
const HEADS: [(usize, usize, usize, f64); 6] = [
    (1, 2, 3, 1.0),
    (5, 33, 8, 1.0),
    (64, 100, 16, 4.0),
    (130, 257, 40, 1.0),
    (70, 50, 32, 30.0),
    (130, 10_007, 4, 1.0),
];

fn head_operands(n: usize, v: usize, d: usize, scale: f64) -> Vec<Tensor> {
    let mut draw = Draw::new((n + v) as u64);
    vec![draw.floats(&[n, d], scale), draw.floats(&[v, d], 0.5), draw.ids(n, v)]
}

/// Exponents reach the cap, where an f32 rounds by as much more.
const CAP: f64 = 15.0;

pub(super) fn head_cross_entropy() -> Vec<Case> {
    let op = HeadCrossEntropy { softcap: CAP };
    let plain = HEADS.map(|(n, v, d, scale)| {
        Case::new(
            format!("{n} tokens, {v}x{d}, x of size {scale}"),
            op.clone(),
            head_operands(n, v, d, scale),
        )
    });
    let packed = BITS.map(|bits| {
        let mut inputs = head_operands(40, 65, 24, 1.0);
        inputs[1] = Draw::new(u64::from(bits)).packed(bits, 65, 24);
        Case::new(format!("{bits} bits"), op.clone(), inputs)
    });
    plain.into_iter().chain(packed).collect()
}

fn head_grad_case(name: String, mut inputs: Vec<Tensor>, wants_embedding: bool) -> Case {
    let n = inputs[0].shape()[0];
    let lse = evaluate(HeadCrossEntropy { softcap: CAP }, &inputs).remove(1);
    inputs.extend([lse, Draw::new(2).floats(&[n], 1.0)]);
    Case::new(name, HeadCrossEntropyGrad { softcap: CAP, wants_embedding }, inputs).with_condition(CAP)
}

pub(super) fn head_cross_entropy_grad() -> Vec<Case> {
    let plain = HEADS.into_iter().flat_map(|(n, v, d, scale)| {
        let name = format!("{n} tokens, {v}x{d}, x of size {scale}");
        let inputs = head_operands(n, v, d, scale);
        [true, false].map(|wants| head_grad_case(format!("{name}, de {wants}"), inputs.clone(), wants))
    });
    let mut cases: Vec<Case> = plain.collect();
    cases.extend(BITS.map(|bits| {
        let mut inputs = head_operands(40, 65, 24, 1.0);
        inputs[1] = Draw::new(u64::from(bits)).packed(bits, 65, 24);
        head_grad_case(format!("{bits} bits"), inputs, false)
    }));
    cases
}
