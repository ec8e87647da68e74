//! Launches of `rms_norm` and its gradient.

use super::warps::{THREADS, blocks};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{RmsNorm, RmsNormGrad, RmsNormGradAdd};

static SOURCE: Source = Source { file: "rms_norm.cu", text: include_str!("rms_norm.cu") };
static RMS_NORM: Kernel = Kernel { source: &SOURCE, entry: "rms_norm", signature: "aouuf", threads: THREADS };
static RMS_NORM_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "rms_norm_grad", signature: "aaouufu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&RMS_NORM, &RMS_NORM_GRAD];

pub(super) fn rms_norm(op: &RmsNorm, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let params = vec![n.into(), d.into(), op.scale.into()];
    low.launch(&RMS_NORM, vec![Input(0), Output(0)], params, blocks(n));
}

pub(super) fn grad(op: &RmsNormGrad, low: &mut Lowering<'_>) {
    launch_grad(op, low, false);
}

pub(super) fn grad_add(op: &RmsNormGradAdd, low: &mut Lowering<'_>) {
    launch_grad(&op.grad, low, true);
}

fn launch_grad(op: &RmsNormGrad, low: &mut Lowering<'_>, accumulate: bool) {
    let [n, d] = low.matrix(0);
    let params = vec![n.into(), d.into(), op.scale.into(), accumulate.into()];
    low.launch(&RMS_NORM_GRAD, vec![Input(0), Input(1), Output(0)], params, blocks(n));
}
