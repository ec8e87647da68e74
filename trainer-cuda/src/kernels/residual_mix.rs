//! Launches of `residual_mix` and its gradient.

use super::column_sums::{Sums, column_sums};
use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "residual_mix.cu", text: include_str!("residual_mix.cu") };
static RESIDUAL_MIX: Kernel =
    Kernel { source: &SOURCE, entry: "residual_mix", signature: "aarouu", threads: ELEMENTS };
static RESIDUAL_MIX_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "residual_mix_grad", signature: "aaraoowuu", threads: 64 };

pub(super) const KERNELS: &[&Kernel] = &[&RESIDUAL_MIX, &RESIDUAL_MIX_GRAD];

pub(super) fn residual_mix(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    low.launch_fours(&RESIDUAL_MIX, bindings, n * d, &[d.into()]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0), Output(1)];
    column_sums(low, &RESIDUAL_MIX_GRAD, bindings, low.matrix(0), None, Sums::Stacked(Output(2)));
}
