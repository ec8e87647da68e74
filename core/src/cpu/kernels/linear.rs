//! `linear`: tiles of the product over the threads.
//!
//! Transposition is an exchange of strides, but for `x·wᵀ` over many rows: there the weight is transposed once, which
//! costs less than what the product would spend on repacking it for every tile. For a single row nothing is repacked
//! at all: every result is one dot product with a row of the weight, dequantized on the way when it is packed.

use crate::cpu::launch::{Launch, Operand};
use crate::cpu::packed::packed_dot;
use crate::cpu::product::{Old, View, ViewMut, product_then, product_tiled, transpose_tiled};
use crate::cpu::simd::{dot, vector};
use crate::ops::{Linear, LinearAdd, LinearForm};

/// Rows from which on the weight is transposed.
const MANY_ROWS: usize = 256;

/// Multiply-adds of one piece of a product with a single row.
const PIECE: usize = 1 << 15;

/// The product of its form.
pub(in crate::cpu) fn run(op: &Linear, launch: Launch<'_>) {
    multiply(op, launch, Old::Drop);
}

/// The product of its form, added to what the result holds.
pub(in crate::cpu) fn add(op: &LinearAdd, launch: Launch<'_>) {
    multiply(&op.linear, launch, Old::Add);
}

fn multiply(op: &Linear, mut launch: Launch<'_>, old: Old) {
    let (a, b) = (launch.inputs[0], launch.inputs[1]);
    if op.form == LinearForm::Nt {
        return by_weight(launch, a, b, old, |_, _, _| {});
    }
    let ([a_rows, a_cols], [b_rows, b_cols]) = (a.matrix(), b.matrix());
    let [y] = launch.results();
    let weights = b.dense(launch.threads);
    let left = View::new(a.f32s(), a_rows, a_cols, a_cols);
    let right = View::new(&weights, b_rows, b_cols, b_cols);
    let left = if op.form == LinearForm::Tn { left.t() } else { left };
    let [rows, cols, _] = op.extents(&a.matrix(), &b.matrix());
    product_tiled(launch.threads, ViewMut::new(y, rows, cols, cols), old, 1.0, left, right);
}

/// The launch's only result `a·wᵀ`, written or added, and `then(row, column, part)` on every part of a row while it is in cache.
pub(super) fn by_weight(
    mut launch: Launch<'_>,
    a: Operand<'_>,
    w: Operand<'_>,
    old: Old,
    then: impl Fn(usize, usize, &mut [f32]) + Sync + Send,
) {
    let ([rows, depth], [cols, _]) = (a.matrix(), w.matrix());
    let [y] = launch.results();
    if rows == 1 {
        return one_row(launch, y, a.f32s(), w, old, then);
    }
    let weights = w.dense(launch.threads);
    let right = if rows >= MANY_ROWS {
        let transposed = launch.scratch.at_least(weights.len());
        transpose_tiled(launch.threads, transposed, &weights, cols, depth);
        View::new(transposed, depth, cols, cols)
    } else {
        View::new(&weights, cols, depth, depth).t()
    };
    let left = View::new(a.f32s(), rows, depth, depth);
    product_then(launch.threads, ViewMut::new(y, rows, cols, cols), old, 1.0, left, right, then);
}

/// `y = x·wᵀ`, or `y += x·wᵀ`, for a row `x`.
fn one_row(
    launch: Launch<'_>,
    y: &mut [f32],
    x: &[f32],
    w: Operand<'_>,
    old: Old,
    then: impl Fn(usize, usize, &mut [f32]) + Sync + Send,
) {
    let [cols, depth] = w.matrix();
    let width = (PIECE / depth).max(1);
    launch.threads.each(y.chunks_mut(width).collect(), |index, y| {
        let first = index * width;
        if old == Old::Drop {
            y.fill(0.0);
        }
        vector(
            #[inline(always)]
            || match w.packed() {
                None => {
                    let rows = w.f32s()[first * depth..].chunks_exact(depth);
                    for (y, row) in y.iter_mut().zip(rows) {
                        *y += dot(x, row);
                    }
                }
                Some((bits, words)) => {
                    for (row, y) in y.iter_mut().enumerate() {
                        *y += packed_dot(bits, words, cols, first + row, x);
                    }
                }
            },
        );
        then(0, first, y);
    });
}
