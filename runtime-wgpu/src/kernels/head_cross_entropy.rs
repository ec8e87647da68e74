//! Launches of `head_cross_entropy`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{HeadCrossEntropy, HeadCrossEntropyGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn head_cross_entropy(_op: &HeadCrossEntropy, _low: &mut Lowering<'_>) {
    panic!("head_cross_entropy::head_cross_entropy: not written")
}

pub(super) fn grad(_op: &HeadCrossEntropyGrad, _low: &mut Lowering<'_>) {
    panic!("head_cross_entropy::grad: not written")
}
