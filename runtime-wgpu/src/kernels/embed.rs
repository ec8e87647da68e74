//! Launches of `embed`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::EmbedGrad;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn embed(_low: &mut Lowering<'_>) {
    panic!("embed::embed: not written")
}

pub(super) fn grad(_op: &EmbedGrad, _low: &mut Lowering<'_>) {
    panic!("embed::grad: not written")
}
