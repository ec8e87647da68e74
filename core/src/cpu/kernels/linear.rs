//! `linear`: tiles of the product over the threads.
//!
//! Transposition is an exchange of strides, but for `x·wᵀ` over many rows: there the weight is transposed once, which
//! costs less than what the product would spend on repacking it for every tile.

use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product_tiled, transpose_tiled};
use crate::ops::{Linear, LinearForm};

/// Rows from which on the weight is transposed.
const MANY_ROWS: usize = 256;

/// The product of its form.
pub(in crate::cpu) fn run(op: &Linear, mut launch: Launch<'_>) {
    let (a, b) = (launch.inputs[0], launch.inputs[1]);
    let ([a_rows, a_cols], [b_rows, b_cols]) = (a.matrix(), b.matrix());
    let [y] = launch.results();
    let weights = b.dense(launch.threads);
    let left = View::new(a.f32s(), a_rows, a_cols, a_cols);
    let right = View::new(&weights, b_rows, b_cols, b_cols);
    let (left, right) = match op.form {
        LinearForm::Nt if a_rows >= MANY_ROWS => {
            let transposed = launch.scratch.at_least(weights.len());
            transpose_tiled(launch.threads, transposed, &weights, b_rows, b_cols);
            (left, View::new(transposed, b_cols, b_rows, b_rows))
        }
        LinearForm::Nt => (left, right.t()),
        LinearForm::Nn => (left, right),
        LinearForm::Tn => (left.t(), right),
    };
    let [rows, cols, _] = op.extents(&a.matrix(), &b.matrix());
    product_tiled(launch.threads, ViewMut::new(y, rows, cols, cols), Old::Drop, 1.0, left, right);
}
