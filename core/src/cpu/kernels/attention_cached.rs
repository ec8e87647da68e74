//! `attention_cached`: one token reads the cache once per key head, without repacking it; more tokens (a prompt's
//! chunk) go block by block through matrix products, like `attention`.
//!
//! All scores of a query fit the scratch, since a cache is a window, so the softmax needs no running maximum.

use super::attention::{Block, Layout, gather};
use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product};
use crate::cpu::simd::{Exp, add_scaled, dot, map_sum, max, vector};
use crate::cpu::threads::with_scratch;
use crate::ops::AttentionCached;

/// Queries of a block.
const QUERIES: usize = 16;

/// Keys and values `[w, g·c]`.
struct Cache<'a> {
    k: &'a [f32],
    v: &'a [f32],
    /// Channels of a row.
    cols: usize,
}

/// `(q[n,h·c], k[w,g·c], v[w,g·c], position) → y[n,h·c]`.
pub(in crate::cpu) fn run(op: &AttentionCached, mut launch: Launch<'_>) {
    let ([n, cols], [_, kv_cols]) = (launch.inputs[0].matrix(), launch.inputs[1].matrix());
    let [q, k, v] = [0, 1, 2].map(|i| launch.inputs[i].f32s());
    let position = launch.inputs[3].position();
    let (heads, group) = (op.heads, op.heads / op.kv_heads);
    let layout = Layout { n, heads, group, width: cols / heads };
    let cache = Cache { k, v, cols: kv_cols };
    let [y] = launch.results();
    if n == 1 {
        let columns = group * layout.width;
        let pieces = y.chunks_mut(columns).zip(q.chunks(columns)).collect();
        launch.threads.each(pieces, |owner, (y, q)| {
            with_scratch(group * (position + 1), |scores| {
                vector(
                    #[inline(always)]
                    || one_query(&layout, &cache, owner, scores, q, y),
                );
            });
        });
        return;
    }
    launch.threads.each(y.chunks_mut(QUERIES * cols).collect(), |index, y| {
        let block = Block { window: 0, first: index * QUERIES, len: y.len() / cols };
        for owner in 0..heads / group {
            attend(&layout, &cache, &block, owner, position, q, y);
        }
    });
}

/// The heads `q` of one token that read key head `owner`; `scores` has room for one per head and token seen.
#[inline(always)]
fn one_query(layout: &Layout, cache: &Cache<'_>, owner: usize, scores: &mut [f32], q: &[f32], y: &mut [f32]) {
    let Layout { group, width, .. } = *layout;
    let (scale, seen) = ((1.0 / (width as f64).sqrt()) as f32, scores.len() / group);
    for j in 0..seen {
        let key = &cache.k[j * cache.cols + owner * width..][..width];
        for g in 0..group {
            scores[g * seen + j] = scale * dot(&q[g * width..(g + 1) * width], key);
        }
    }
    for g in 0..group {
        soften(&mut scores[g * seen..(g + 1) * seen]);
    }
    y.fill(0.0);
    for j in 0..seen {
        let value = &cache.v[j * cache.cols + owner * width..][..width];
        for g in 0..group {
            add_scaled(&mut y[g * width..(g + 1) * width], scores[g * seen + j], value);
        }
    }
}

/// Turns scores into the weights of their softmax.
#[inline(always)]
fn soften(scores: &mut [f32]) {
    let (exp, top) = (Exp::for_loop(), max(scores));
    let total = map_sum(
        scores,
        #[inline(always)]
        |s| exp.nonpositive(s - top),
    );
    let inverse = 1.0 / total;
    for s in scores {
        *s *= inverse;
    }
}

/// The queries of `block` that read key head `owner`.
fn attend(
    layout: &Layout,
    cache: &Cache<'_>,
    block: &Block,
    owner: usize,
    position: usize,
    q: &[f32],
    y: &mut [f32],
) {
    let Layout { heads, group, width, .. } = *layout;
    let (rows, seen) = (group * block.len, position + block.first + block.len);
    with_scratch(rows * (2 * width + seen), |scratch| {
        let (queries, scratch) = scratch.split_at_mut(rows * width);
        let (sum_v, scores) = scratch.split_at_mut(rows * width);
        let scores = &mut scores[..rows * seen];
        gather(layout, q, block, owner, queries);
        let keys = View::new(&cache.k[owner * width..], seen, width, cache.cols).t();
        let out = ViewMut::new(scores, rows, seen, seen);
        product(out, Old::Drop, 1.0, View::new(queries, rows, width, width), keys);
        vector(
            #[inline(always)]
            || {
                for (row, scores) in scores.chunks_exact_mut(seen).enumerate() {
                    let (visible, future) = scores.split_at_mut(seen - block.len + row % block.len + 1);
                    soften(visible);
                    future.fill(0.0);
                }
            },
        );
        let values = View::new(&cache.v[owner * width..], seen, width, cache.cols);
        let out = ViewMut::new(sum_v, rows, width, width);
        product(out, Old::Drop, 1.0, View::new(scores, rows, seen, seen), values);
        for (row, sum_v) in sum_v.chunks_exact(width).enumerate() {
            let at = row % block.len * heads + owner * group + row / block.len;
            y[at * width..][..width].copy_from_slice(sum_v);
        }
    });
}
