//! Launches of `xsa`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{Xsa, XsaGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn xsa(_op: &Xsa, _low: &mut Lowering<'_>) {
    panic!("xsa::xsa: not written")
}

pub(super) fn grad(_op: &XsaGrad, _low: &mut Lowering<'_>) {
    panic!("xsa::grad: not written")
}
