//! Launches of `residual_mix_norm` and its gradient.

use super::column_sums::{ROWS, Sums, join};
use super::warps::{THREADS, blocks};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{ResidualMixNorm, ResidualMixNormGrad, ResidualMixNormGradAdd};

static SOURCE: Source = Source { file: "residual_mix_norm.cu", text: include_str!("residual_mix_norm.cu") };
static RESIDUAL_MIX_NORM: Kernel =
    Kernel { source: &SOURCE, entry: "residual_mix_norm", signature: "aaroouuf", threads: THREADS };
static RESIDUAL_MIX_NORM_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "residual_mix_norm_grad", signature: "aaraoowuufu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&RESIDUAL_MIX_NORM, &RESIDUAL_MIX_NORM_GRAD];

pub(super) fn residual_mix_norm(op: &ResidualMixNorm, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), Output(1)];
    low.launch(&RESIDUAL_MIX_NORM, bindings, vec![n.into(), d.into(), op.scale.into()], blocks(n));
}

pub(super) fn grad(op: &ResidualMixNormGrad, low: &mut Lowering<'_>) {
    launch_grad(op, low, false);
}

pub(super) fn grad_add(op: &ResidualMixNormGradAdd, low: &mut Lowering<'_>) {
    launch_grad(&op.grad, low, true);
}

fn launch_grad(op: &ResidualMixNormGrad, low: &mut Lowering<'_>, accumulate: bool) {
    let [n, d] = low.matrix(0);
    let chunks = n.div_ceil(ROWS);
    let partials = low.scratch(chunks * 2 * d);
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0), Output(1), partials.clone()];
    let params = vec![n.into(), d.into(), op.scale.into(), accumulate.into()];
    low.launch(&RESIDUAL_MIX_NORM_GRAD, bindings, params, chunks);
    join(low, partials, chunks, d, Sums::Stacked(Output(2)));
}
