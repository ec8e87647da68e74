//! `attention` forward, block by block with a running softmax (Dao et al., arXiv:2205.14135).
//!
//! A piece of work is a block of [`QUERIES`] tokens with all their heads, so that pieces write whole rows. Within it,
//! the query heads that share a key head stack up to one matrix. Keys are transposed once per launch: products of two
//! row-major matrices need no repacking. No score outlives its block.

use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product, transpose_tiled};
use crate::cpu::simd::{Exp, map_sum, max, vector};
use crate::cpu::threads::with_scratch;
use crate::ops::Attention;

/// Queries of a block.
const QUERIES: usize = 64;

/// Keys of a block; a multiple of [`QUERIES`], so that no query meets a block that lies in its future altogether.
const KEYS: usize = 256;

/// Shapes of one launch.
pub(super) struct Layout {
    /// Tokens of all windows.
    pub n: usize,
    /// Query heads.
    pub heads: usize,
    /// Query heads per key head.
    pub group: usize,
    /// Channels of a head.
    pub width: usize,
}

/// Operands of one launch, the keys as `[g·c, n]`.
struct Operands<'a> {
    q: &'a [f32],
    keys: &'a [f32],
    v: &'a [f32],
}

/// A block of queries: its tokens within their window.
pub(super) struct Block {
    /// First token of the window.
    pub window: usize,
    /// First query, counted in the window.
    pub first: usize,
    /// Number of queries.
    pub len: usize,
}

/// `(q[n,h·c], k[n,g·c], v[n,g·c]) → (y[n,h·c], lse[n,h])`.
pub(in crate::cpu) fn run(op: &Attention, mut launch: Launch<'_>) {
    let [n, cols] = launch.inputs[0].matrix();
    let (heads, group) = (op.heads, op.heads / op.kv_heads);
    let layout = Layout { n, heads, group, width: cols / heads };
    let [q, k, v] = launch.floats();
    let [y, lse] = launch.results();
    let keys = launch.scratch.at_least(k.len());
    transpose_tiled(launch.threads, keys, k, n, k.len() / n);
    let operands = Operands { q, keys, v };
    let windows = y.chunks_mut(op.seq * cols).zip(lse.chunks_mut(op.seq * heads)).enumerate();
    let mut pieces: Vec<_> = windows
        .flat_map(|(window, (y, lse))| {
            let blocks = y.chunks_mut(QUERIES * cols).zip(lse.chunks_mut(QUERIES * heads)).enumerate();
            blocks.map(move |(index, (y, lse))| {
                let (window, first) = (window * op.seq, index * QUERIES);
                (Block { window, first, len: lse.len() / heads }, y, lse)
            })
        })
        .collect();
    // Late blocks see the most keys: begun first, they do not end last.
    pieces.sort_by_key(|(block, ..)| std::cmp::Reverse(block.first));
    launch.threads.each(pieces, |_, (block, y, lse)| {
        for owner in 0..heads / group {
            attend(&layout, &operands, &block, owner, y, lse);
        }
    });
}

/// The queries of `block` that read key head `owner`.
fn attend(
    layout: &Layout,
    operands: &Operands<'_>,
    block: &Block,
    owner: usize,
    y: &mut [f32],
    lse: &mut [f32],
) {
    let Layout { n, width, group, .. } = *layout;
    let rows = group * block.len;
    let kv_cols = layout.heads / group * width;
    with_scratch(rows * (2 * width + KEYS + 2), |scratch| {
        let (q, scratch) = scratch.split_at_mut(rows * width);
        let (sum_v, scratch) = scratch.split_at_mut(rows * width);
        let (scores, running) = scratch.split_at_mut(rows * KEYS);
        let (top, total) = running.split_at_mut(rows);
        gather(layout, operands.q, block, owner, q);
        top.fill(f32::NEG_INFINITY);
        total.fill(0.0);
        sum_v.fill(0.0);
        let seen = block.first + block.len;
        for from in (0..seen).step_by(KEYS) {
            let keys = KEYS.min(seen - from);
            let scores = &mut scores[..rows * keys];
            let key_block = &operands.keys[owner * width * n + block.window + from..];
            product(
                ViewMut::new(scores, rows, keys, keys),
                Old::Drop,
                1.0,
                View::new(q, rows, width, width),
                View::new(key_block, width, keys, n),
            );
            soften(block, from, scores, top, total, sum_v);
            let value_block = &operands.v[(block.window + from) * kv_cols + owner * width..];
            product(
                ViewMut::new(sum_v, rows, width, width),
                Old::Add,
                1.0,
                View::new(scores, rows, keys, keys),
                View::new(value_block, keys, width, kv_cols),
            );
        }
        finish(layout, block, owner, sum_v, [top, total], y, lse);
    });
}

/// The block's queries, head after head, scaled by `1/√c`.
pub(super) fn gather(layout: &Layout, q: &[f32], block: &Block, owner: usize, out: &mut [f32]) {
    let Layout { heads, width, group, .. } = *layout;
    let scale = (1.0 / (width as f64).sqrt()) as f32;
    for (row, out) in out.chunks_exact_mut(width).enumerate() {
        let (head, token) = (owner * group + row / block.len, block.window + block.first + row % block.len);
        let q = &q[(token * heads + head) * width..][..width];
        out.iter_mut().zip(q).for_each(|(out, q)| *out = scale * q);
    }
}

/// Turns scores into `e^{s - top}` with the new running maximum, and rescales what was summed under the old one.
fn soften(
    block: &Block,
    from: usize,
    scores: &mut [f32],
    top: &mut [f32],
    total: &mut [f32],
    sum_v: &mut [f32],
) {
    let rows = top.len();
    let (keys, width) = (scores.len() / rows, sum_v.len() / rows);
    vector(
        #[inline(always)]
        || {
            let exp = Exp::for_loop();
            for row in 0..rows {
                let scores = &mut scores[row * keys..][..keys];
                let visible = (block.first + row % block.len + 1 - from).min(keys);
                // Masked scores weigh e^{-∞} = 0.
                scores[visible..].fill(f32::NEG_INFINITY);
                let old = top[row];
                let new = max(scores).max(old);
                top[row] = new;
                let sum = map_sum(
                    scores,
                    #[inline(always)]
                    |s| exp.nonpositive(s - new),
                );
                if new > old {
                    let shrink = exp.nonpositive(old - new);
                    total[row] *= shrink;
                    sum_v[row * width..][..width].iter_mut().for_each(|y| *y *= shrink);
                }
                total[row] += sum;
            }
        },
    );
}

/// Divides by the softmax's denominator, and writes the heads to their columns.
fn finish(
    layout: &Layout,
    block: &Block,
    owner: usize,
    sum_v: &[f32],
    [top, total]: [&[f32]; 2],
    y: &mut [f32],
    lse: &mut [f32],
) {
    let Layout { heads, width, group, .. } = *layout;
    for (row, sum_v) in sum_v.chunks_exact(width).enumerate() {
        let at = row % block.len * heads + owner * group + row / block.len;
        let inverse = 1.0 / total[row];
        lse[at] = top[row] + total[row].ln();
        y[at * width..][..width].iter_mut().zip(sum_v).for_each(|(y, v)| *y = inverse * v);
    }
}
