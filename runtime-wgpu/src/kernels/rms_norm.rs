//! Launches of `rms_norm` and its gradient.

use super::parts::REDUCE;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{RmsNorm, RmsNormGrad};

const SOURCE: &[&str] = &[REDUCE, include_str!("rms_norm.wgsl")];
static RMS_NORM: Kernel = Kernel { name: "rms_norm", source: SOURCE, entry: "rms_norm", access: "rw" };

pub(super) const KERNELS: &[&Kernel] = &[&RMS_NORM];

pub(super) fn rms_norm(op: &RmsNorm, low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    low.launch(&RMS_NORM, vec![Input(0), Output(0)], vec![d.into(), op.scale.into()], n);
}

pub(super) fn grad(_op: &RmsNormGrad, _low: &mut Lowering<'_>) {
    panic!("rms_norm_grad: not written")
}
