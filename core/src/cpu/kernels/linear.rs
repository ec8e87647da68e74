//! `linear`: tiles of the product over the threads; transposition is an exchange of strides.

use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product_tiled};
use crate::ops::{Linear, LinearForm};

/// The product of its form.
pub(in crate::cpu) fn run(op: &Linear, mut launch: Launch<'_>) {
    let (a, b) = (launch.inputs[0], launch.inputs[1]);
    let ([a_rows, a_cols], [b_rows, b_cols]) = (a.matrix(), b.matrix());
    let weights = b.dense(launch.threads);
    let left = View::new(a.f32s(), a_rows, a_cols, a_cols);
    let right = View::new(&weights, b_rows, b_cols, b_cols);
    let (left, right) = match op.form {
        LinearForm::Nt => (left, right.t()),
        LinearForm::Nn => (left, right),
        LinearForm::Tn => (left.t(), right),
    };
    let [rows, cols, _] = op.extents(&a.matrix(), &b.matrix());
    let [y] = launch.results();
    product_tiled(launch.threads, ViewMut::new(y, rows, cols, cols), Old::Drop, 1.0, left, right);
}
