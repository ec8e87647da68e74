//! Ops of a decode step: a few tokens at a run-time position behind a cache.
//!
//! Rows of a cache that an op must not read are NaN, so that reading one shows.

use super::Case;
use crate::draw::Draw;
use golf_core::ops::*;
use golf_core::tensor::Tensor;

/// `(window, tokens, position)`: the first, a middle and the last place, for one token, a few, and more than a block.
const PLACES: [[usize; 3]; 9] = [
    [1, 1, 0],
    [9, 1, 0],
    [9, 1, 5],
    [300, 1, 299],
    [9, 4, 0],
    [40, 17, 11],
    [70, 33, 37],
    [300, 16, 270],
    [64, 64, 0],
];

fn at(position: usize) -> Tensor {
    Tensor::i32(&[1], vec![position as i32])
}

/// A cache whose rows are NaN but for those in `known`.
fn cache(draw: &mut Draw, window: usize, d: usize, known: std::ops::Range<usize>) -> Tensor {
    let mut values = draw.floats(&[window, d], 1.0).to_f32();
    for (row, values) in values.chunks_exact_mut(d).enumerate() {
        if !known.contains(&row) {
            values.fill(f32::NAN);
        }
    }
    Tensor::f32(&[window, d], values)
}

fn name([window, tokens, position]: [usize; 3]) -> String {
    format!("{tokens} tokens at {position} of {window}")
}

pub(super) fn cache_write() -> Vec<Case> {
    let case = |place: [usize; 3]| {
        let ([window, tokens, position], mut draw) = (place, Draw::new(place[0] as u64));
        let inputs = vec![draw.floats(&[window, 7], 1.0), draw.floats(&[tokens, 7], 1.0), at(position)];
        Case::new(name(place), CacheWrite, inputs)
    };
    PLACES.map(case).into()
}

pub(super) fn hash_bucket_at() -> Vec<Case> {
    let kinds = [HashKind::BigramV1, HashKind::BigramV2, HashKind::Trigram([36313, 27191, 51497])];
    let case = |kind: HashKind, tokens: usize, position: usize| {
        let mut draw = Draw::new((tokens + position) as u64);
        let inputs = vec![draw.ids(tokens, 1024), draw.ids(HASH_HISTORY, 1024), at(position)];
        Case::new(
            format!("{kind:?}, {tokens} tokens at {position}"),
            HashBucketAt { kind, buckets: 2048 },
            inputs,
        )
    };
    let places = [1, 2, 20].into_iter().flat_map(|tokens| [0, 1, 2, 50].map(|position| (tokens, position)));
    places.flat_map(|(tokens, position)| kinds.map(|kind| case(kind, tokens, position))).collect()
}

pub(super) fn smear_gate_cached() -> Vec<Case> {
    let case = |place: [usize; 3]| {
        let ([window, tokens, position], d, mut draw) = (place, 37, Draw::new(place[0] as u64));
        let (x, gate) = (draw.floats(&[tokens, d], 1.0), draw.floats(&[d], 1.0));
        let before = position.saturating_sub(1)..position;
        let inputs = vec![x, gate, cache(&mut draw, window, d, before), at(position)];
        Case::new(name(place), SmearGateCached, inputs)
    };
    PLACES.map(case).into()
}

pub(super) fn qk_norm_rope_at() -> Vec<Case> {
    let case = |(index, place): (usize, [usize; 3])| {
        let [window, tokens, position] = place;
        let (heads, width, rope_dims) = [(1, 4, 4), (3, 10, 4), (2, 64, 16), (2, 6, 0)][index % 4];
        let mut draw = Draw::new(index as u64);
        let op = QkNormRopeAt { heads, window, rope_dims, base: 10_000.0 };
        let x = draw.floats(&[tokens, heads * width], 1.0);
        let gain = draw.between(&[heads], 0.5, 3.0);
        let name = format!("{}, {op:?}", name(place));
        let bare = Case::new(format!("{name}, no gain"), op.clone(), vec![x.clone(), at(position)]);
        [bare, Case::new(name, op, vec![x, at(position), gain])]
    };
    PLACES.into_iter().enumerate().flat_map(case).collect()
}

pub(super) fn attention_cached() -> Vec<Case> {
    let case = |(index, place): (usize, [usize; 3])| {
        let [window, tokens, position] = place;
        let (heads, kv_heads, width) = [(1, 1, 4), (4, 2, 16), (4, 1, 5), (2, 2, 64)][index % 4];
        let mut draw = Draw::new(index as u64);
        let q = draw.floats(&[tokens, heads * width], 1.0);
        let [k, v] = [0, 1].map(|_| cache(&mut draw, window, kv_heads * width, 0..position + tokens));
        let op = AttentionCached { heads, kv_heads };
        Case::new(
            format!("{}, {heads} heads on {kv_heads} of width {width}", name(place)),
            op,
            vec![q, k, v, at(position)],
        )
    };
    // Every place meets two layouts of heads.
    let places = PLACES.into_iter().enumerate();
    places.flat_map(|(index, place)| [(index, place), (index + 1, place)]).map(case).collect()
}
