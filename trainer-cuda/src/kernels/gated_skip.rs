//! Launches of `gated_skip` and its gradient.

use super::column_sums::{Sums, THREADS, column_sums, strips};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "gated_skip.cu", text: include_str!("gated_skip.cu") };
static GATED_SKIP: Kernel =
    Kernel { source: &SOURCE, entry: "gated_skip", signature: "aarrouu", threads: THREADS };
static GATED_SKIP_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "gated_skip_grad", signature: "aarraoowuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&GATED_SKIP, &GATED_SKIP_GRAD];

pub(super) fn gated_skip(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0)];
    strips(low, &GATED_SKIP, bindings, low.matrix(0), None);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Input(4), Output(0), Output(1)];
    let sums = Sums::Two(Output(2), Output(3));
    column_sums(low, &GATED_SKIP_GRAD, bindings, low.matrix(0), None, sums);
}
