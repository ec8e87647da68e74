//! Launches of `attention_grad`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::AttentionGrad;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn attention_grad(_op: &AttentionGrad, _low: &mut Lowering<'_>) {
    panic!("attention_grad::attention_grad: not written")
}
