//! Launches of `residual_mix` and its gradient.

use super::column_sums::{Sums, THREADS, column_sums, strips};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "residual_mix.cu", text: include_str!("residual_mix.cu") };
static RESIDUAL_MIX: Kernel =
    Kernel { source: &SOURCE, entry: "residual_mix", signature: "aarouu", threads: THREADS };
static RESIDUAL_MIX_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "residual_mix_grad", signature: "aaraoowuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&RESIDUAL_MIX, &RESIDUAL_MIX_GRAD];

pub(super) fn residual_mix(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    strips(low, &RESIDUAL_MIX, bindings, low.matrix(0), None);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0), Output(1)];
    column_sums(low, &RESIDUAL_MIX_GRAD, bindings, low.matrix(0), None, Sums::Stacked(Output(2)));
}
