//! Launches of `gated_skip` and its gradient.

use super::column_sums::{Sums, column_sums};
use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "gated_skip.cu", text: include_str!("gated_skip.cu") };
static GATED_SKIP: Kernel =
    Kernel { source: &SOURCE, entry: "gated_skip", signature: "aarrouu", threads: ELEMENTS };
static GATED_SKIP_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "gated_skip_grad", signature: "aarraoowuu", threads: 64 };

pub(super) const KERNELS: &[&Kernel] = &[&GATED_SKIP, &GATED_SKIP_GRAD];

pub(super) fn gated_skip(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0)];
    low.launch_fours(&GATED_SKIP, bindings, n * d, &[d.into()]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Input(4), Output(0), Output(1)];
    let sums = Sums::Two(Output(2), Output(3));
    column_sums(low, &GATED_SKIP_GRAD, bindings, low.matrix(0), None, sums);
}
