//! Launches of `scale_rows` and its gradient.

use super::warps::{THREADS, blocks};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "scale_rows.cu", text: include_str!("scale_rows.cu") };
static SCALE_ROWS: Kernel =
    Kernel { source: &SOURCE, entry: "scale_rows", signature: "rrwuu", threads: THREADS };
static SCALE_ROWS_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "scale_rows_grad", signature: "rrrwwuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&SCALE_ROWS, &SCALE_ROWS_GRAD];

pub(super) fn scale_rows(low: &mut Lowering<'_>) {
    let [rows, cols] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Output(0)];
    low.launch(&SCALE_ROWS, bindings, vec![rows.into(), cols.into()], blocks(rows));
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let [rows, cols] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), Output(1)];
    low.launch(&SCALE_ROWS_GRAD, bindings, vec![rows.into(), cols.into()], blocks(rows));
}
