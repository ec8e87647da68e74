//! Launches of `row` and its gradient.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{Row, RowGrad};

static SOURCE: Source = Source { file: "row.cu", text: include_str!("row.cu") };
static ROW: Kernel = Kernel { source: &SOURCE, entry: "row", signature: "rwuuu", threads: ELEMENTS };
static ROW_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "row_grad", signature: "rwuuu", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&ROW, &ROW_GRAD];

pub(super) fn row(op: &Row, low: &mut Lowering<'_>) {
    let d = low.output(0).numel();
    low.launch_elements(&ROW, vec![Input(0), Output(0)], d, &[d.into(), (op.index * d).into()]);
}

pub(super) fn grad(op: &RowGrad, low: &mut Lowering<'_>) {
    let d = low.input(0).numel();
    let params = [d.into(), (op.index * d).into()];
    low.launch_elements(&ROW_GRAD, vec![Input(0), Output(0)], op.rows * d, &params);
}
