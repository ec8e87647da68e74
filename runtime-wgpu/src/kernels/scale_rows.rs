//! Launches of `scale_rows` and its gradient.

use super::parts::REDUCE;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SCALE_ROWS: Kernel = Kernel {
    name: "scale_rows",
    source: &[include_str!("scale_rows.wgsl")],
    entry: "scale_rows",
    access: "rrw",
};
static SCALE_ROWS_GRAD: Kernel = Kernel {
    name: "scale_rows_grad",
    source: &[REDUCE, include_str!("scale_rows_grad.wgsl")],
    entry: "scale_rows_grad",
    access: "rrrww",
};

pub(super) const KERNELS: &[&Kernel] = &[&SCALE_ROWS, &SCALE_ROWS_GRAD];

pub(super) fn scale_rows(low: &mut Lowering<'_>) {
    let [rows, cols] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Output(0)];
    low.launch_elements(&SCALE_ROWS, bindings, rows * cols, &[cols.into()]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let [rows, cols] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), Output(1)];
    low.launch(&SCALE_ROWS_GRAD, bindings, vec![cols.into()], rows);
}
