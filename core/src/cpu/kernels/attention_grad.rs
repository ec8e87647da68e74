//! `attention_grad`, block by block; weights are recomputed from the log-sum-exp, no score outlives its block.
//!
//! A piece of work is one query head of one window, because sums over queries (towards keys and values) and sums over
//! keys (towards queries) then have one owner and one order. Pieces write head-major scratch; a second pass puts the
//! heads into their columns and adds up the query heads that share a key head.

use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product, transpose_tiled};
use crate::cpu::rows::ROWS;
use crate::cpu::simd::{Exp, dot, vector};
use crate::cpu::threads::{Threads, with_scratch};
use crate::ops::AttentionGrad;

/// Queries of a block.
const QUERIES: usize = 128;

/// Keys of a block; a multiple of [`QUERIES`], so that no query meets a block that lies in its future altogether.
const KEYS: usize = 256;

/// Pieces that run at once: windows are taken together until they are that many, which bounds the scratch.
const PIECES: usize = 32;

/// Shapes of one launch.
#[derive(Clone, Copy)]
struct Layout {
    /// Tokens of all windows.
    n: usize,
    /// Tokens of a window.
    seq: usize,
    /// Query heads.
    heads: usize,
    /// Query heads per key head.
    group: usize,
    /// Channels of a head.
    width: usize,
}

impl Layout {
    /// Columns of keys and values.
    fn kv_cols(&self) -> usize {
        self.heads / self.group * self.width
    }

    /// Elements of one head of one window.
    fn head(&self) -> usize {
        self.seq * self.width
    }
}

/// Operands of one launch; keys and values also as `[g·c, n]`.
struct Operands<'a> {
    q: &'a [f32],
    k: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    y: &'a [f32],
    lse: &'a [f32],
    dy: &'a [f32],
}

/// `(q, k, v, y, lse, dy) → (dq, dk, dv)`.
pub(in crate::cpu) fn run(op: &AttentionGrad, mut launch: Launch<'_>) {
    let [n, cols] = launch.inputs[0].matrix();
    let (heads, group) = (op.heads, op.heads / op.kv_heads);
    let layout = Layout { n, seq: op.seq, heads, group, width: cols / heads };
    let [q, k, v, y, lse, dy] = launch.floats();
    let [dq, dk, dv] = launch.results();
    let together = (PIECES / heads).max(1).min(n / op.seq);
    let by_head = together * heads * 3 * layout.head();
    let (transposed, by_head) = launch.scratch.at_least(2 * k.len() + by_head).split_at_mut(2 * k.len());
    let (keys, values) = transposed.split_at_mut(k.len());
    transpose_tiled(launch.threads, keys, k, n, layout.kv_cols());
    transpose_tiled(launch.threads, values, v, n, layout.kv_cols());
    let operands = Operands { q, k, keys, values, y, lse, dy };
    let (q_chunk, kv_chunk) = (together * op.seq * cols, together * op.seq * layout.kv_cols());
    let results = dq.chunks_mut(q_chunk).zip(dk.chunks_mut(kv_chunk)).zip(dv.chunks_mut(kv_chunk));
    for (index, ((dq, dk), dv)) in results.enumerate() {
        let by_head = &mut by_head[..3 * dq.len()];
        launch.threads.each(by_head.chunks_mut(3 * layout.head()).collect(), |piece, grads| {
            let window = (index * together + piece / heads) * op.seq;
            one_head(&layout, &operands, window, piece % heads, grads);
        });
        spread_heads(&layout, launch.threads, by_head, [dq, dk, dv]);
    }
}

/// A block of queries of one head, copied out.
struct Queries<'a> {
    /// First query, counted in the window.
    first: usize,
    /// `q/√c`, one query a row.
    q: &'a mut [f32],
    /// Gradient towards the head's output.
    dy: &'a mut [f32],
    /// Log-sum-exp of every query.
    lse: &'a mut [f32],
    /// `dy·y` of every query.
    delta: &'a mut [f32],
}

/// Fills `grads`, the gradients `[dq, dk, dv]` of one head, each `[seq, c]`.
fn one_head(layout: &Layout, operands: &Operands<'_>, window: usize, head: usize, grads: &mut [f32]) {
    let Layout { n, seq, width, group, .. } = *layout;
    let (dq, dkv) = grads.split_at_mut(layout.head());
    let (dk, dv) = dkv.split_at_mut(layout.head());
    dk.fill(0.0);
    dv.fill(0.0);
    let (owner, kv_cols) = (head / group, layout.kv_cols());
    let scale = (1.0 / (width as f64).sqrt()) as f32;
    with_scratch(QUERIES * (2 * width + 2 * KEYS + 2), |scratch| {
        let (weights, scratch) = scratch.split_at_mut(QUERIES * KEYS);
        let (dscores, copies) = scratch.split_at_mut(QUERIES * KEYS);
        for first in (0..seq).step_by(QUERIES) {
            let rows = QUERIES.min(seq - first);
            let block = gather(layout, operands, [window, first, rows], head, copies);
            let dq = &mut dq[first * width..][..rows * width];
            dq.fill(0.0);
            for from in (0..first + rows).step_by(KEYS) {
                let keys = KEYS.min(first + rows - from);
                let (weights, dscores) = (&mut weights[..rows * keys], &mut dscores[..rows * keys]);
                let column = owner * width * n + window + from;
                let keys_t = View::new(&operands.keys[column..], width, keys, n);
                let values_t = View::new(&operands.values[column..], width, keys, n);
                let [q, dy] = [&*block.q, &*block.dy].map(|data| View::new(data, rows, width, width));
                product(ViewMut::new(weights, rows, keys, keys), Old::Drop, 1.0, q, keys_t);
                product(ViewMut::new(dscores, rows, keys, keys), Old::Drop, 1.0, dy, values_t);
                weigh(&block, from, weights, dscores);
                let [weights, dscores] = [&*weights, &*dscores].map(|data| View::new(data, rows, keys, keys));
                let at = from * width..(from + keys) * width;
                let dv = ViewMut::new(&mut dv[at.clone()], keys, width, width);
                product(dv, Old::Add, 1.0, weights.t(), dy);
                let dk = ViewMut::new(&mut dk[at], keys, width, width);
                product(dk, Old::Add, 1.0, dscores.t(), q);
                let k =
                    View::new(&operands.k[(window + from) * kv_cols + owner * width..], keys, width, kv_cols);
                product(ViewMut::new(dq, rows, width, width), Old::Add, scale, dscores, k);
            }
        }
    });
}

/// Copies out `rows` queries from `first` on.
fn gather<'a>(
    layout: &Layout,
    operands: &Operands<'_>,
    [window, first, rows]: [usize; 3],
    head: usize,
    scratch: &'a mut [f32],
) -> Queries<'a> {
    let Layout { heads, width, .. } = *layout;
    let (q, scratch) = scratch.split_at_mut(rows * width);
    let (dy, scratch) = scratch.split_at_mut(rows * width);
    let (lse, scratch) = scratch.split_at_mut(rows);
    let delta = &mut scratch[..rows];
    let scale = (1.0 / (width as f64).sqrt()) as f32;
    vector(
        #[inline(always)]
        || {
            for row in 0..rows {
                let at = (window + first + row) * heads + head;
                let from = at * width..(at + 1) * width;
                let to = row * width..(row + 1) * width;
                q[to.clone()].iter_mut().zip(&operands.q[from.clone()]).for_each(|(out, q)| *out = scale * q);
                dy[to].copy_from_slice(&operands.dy[from.clone()]);
                lse[row] = operands.lse[at];
                delta[row] = dot(&operands.dy[from.clone()], &operands.y[from]);
            }
        },
    );
    Queries { first, q, dy, lse, delta }
}

/// Scores become weights `p = e^{s - lse}`; `dy·v` becomes `p·(dy·v - δ)`. Both are zero beyond the diagonal.
fn weigh(block: &Queries<'_>, from: usize, weights: &mut [f32], dscores: &mut [f32]) {
    let rows = block.lse.len();
    let keys = weights.len() / rows;
    vector(
        #[inline(always)]
        || {
            let exp = Exp::for_loop();
            for row in 0..rows {
                let (weights, dscores) =
                    (&mut weights[row * keys..][..keys], &mut dscores[row * keys..][..keys]);
                let visible = (block.first + row + 1 - from).min(keys);
                weights[visible..].fill(f32::NEG_INFINITY);
                let (lse, delta) = (block.lse[row], block.delta[row]);
                for (weight, dscore) in weights.iter_mut().zip(dscores.iter_mut()) {
                    *weight = exp.nonpositive(*weight - lse);
                    *dscore = *weight * (*dscore - delta);
                }
            }
        },
    );
}

/// Writes `[dq, dk, dv]` of whole windows from the gradients of their heads.
fn spread_heads(layout: &Layout, threads: &Threads, by_head: &[f32], [dq, dk, dv]: [&mut [f32]; 3]) {
    let Layout { seq, heads, group, width, .. } = *layout;
    let kv_cols = layout.kv_cols();
    let rows = dq.chunks_mut(ROWS * heads * width);
    let pieces = rows.zip(dk.chunks_mut(ROWS * kv_cols)).zip(dv.chunks_mut(ROWS * kv_cols)).collect();
    threads.each(pieces, |index, ((dq, dk), dv)| {
        for row in 0..dq.len() / (heads * width) {
            let (window, t) = ((index * ROWS + row) / seq, (index * ROWS + row) % seq);
            let grad = |head: usize, which: usize| {
                &by_head[(window * heads + head) * 3 * layout.head() + which * layout.head() + t * width..]
                    [..width]
            };
            for head in 0..heads {
                dq[(row * heads + head) * width..][..width].copy_from_slice(grad(head, 0));
            }
            for (which, out) in [(1, &mut *dk), (2, &mut *dv)] {
                for (owner, out) in out[row * kv_cols..][..kv_cols].chunks_exact_mut(width).enumerate() {
                    out.copy_from_slice(grad(owner * group, which));
                    for head in owner * group + 1..(owner + 1) * group {
                        out.iter_mut().zip(grad(head, which)).for_each(|(sum, x)| *sum += x);
                    }
                }
            }
        }
    });
}
