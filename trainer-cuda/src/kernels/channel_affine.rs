//! Launches of `channel_affine` and its gradient.

use super::column_sums::{Sums, THREADS, column_sums, strips};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "channel_affine.cu", text: include_str!("channel_affine.cu") };
static CHANNEL_AFFINE: Kernel =
    Kernel { source: &SOURCE, entry: "channel_affine", signature: "arrouu", threads: THREADS };
static CHANNEL_AFFINE_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "channel_affine_grad", signature: "araowuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&CHANNEL_AFFINE, &CHANNEL_AFFINE_GRAD];

pub(super) fn channel_affine(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    strips(low, &CHANNEL_AFFINE, bindings, low.matrix(0), None);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    let sums = Sums::Two(Output(1), Output(2));
    column_sums(low, &CHANNEL_AFFINE_GRAD, bindings, low.matrix(0), None, sums);
}
