//! `row` and `row_grad`: one row copied.

use crate::cpu::launch::Launch;
use crate::ops::{Row, RowGrad};

/// `(w[r,d]) → w[index]`.
pub(in crate::cpu) fn run(op: &Row, mut launch: Launch<'_>) {
    let [w] = launch.floats();
    let [y] = launch.results();
    y.copy_from_slice(&w[op.index * y.len()..][..y.len()]);
}

/// `(dy[d]) → [r,d]`, zero but for row `index`.
pub(in crate::cpu) fn grad(op: &RowGrad, mut launch: Launch<'_>) {
    let [dy] = launch.floats();
    let [dw] = launch.results();
    dw.fill(0.0);
    dw[op.index * dy.len()..][..dy.len()].copy_from_slice(dy);
}
