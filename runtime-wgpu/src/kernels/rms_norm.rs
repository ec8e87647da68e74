//! Launches of `rms_norm` and its gradient.

use super::parts::REDUCE;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{RmsNorm, RmsNormGrad, RmsNormGradAdd};

static RMS_NORM: Kernel = Kernel {
    name: "rms_norm",
    source: &[REDUCE, include_str!("rms_norm.wgsl")],
    entry: "rms_norm",
    access: "rw",
};
static RMS_NORM_GRAD: Kernel = Kernel {
    name: "rms_norm_grad",
    source: &[REDUCE, include_str!("rms_norm_grad.wgsl")],
    entry: "rms_norm_grad",
    access: "rrw",
};

pub(super) const KERNELS: &[&Kernel] = &[&RMS_NORM, &RMS_NORM_GRAD];

pub(super) fn rms_norm(op: &RmsNorm, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    low.launch(&RMS_NORM, vec![Input(0), Output(0)], vec![d.into(), op.scale.into()], n);
}

pub(super) fn grad(op: &RmsNormGrad, low: &mut Lowering<'_>) {
    launch_grad(op, low, false);
}

pub(super) fn grad_add(op: &RmsNormGradAdd, low: &mut Lowering<'_>) {
    launch_grad(&op.grad, low, true);
}

fn launch_grad(op: &RmsNormGrad, low: &mut Lowering<'_>, accumulate: bool) {
    let [n, d] = low.matrix(0);
    let params = vec![d.into(), op.scale.into(), accumulate.into()];
    low.launch(&RMS_NORM_GRAD, vec![Input(0), Input(1), Output(0)], params, n);
}
