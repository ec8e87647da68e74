//! Launches of `softcap`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{Softcap, SoftcapGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn softcap(_op: &Softcap, _low: &mut Lowering<'_>) {
    panic!("softcap::softcap: not written")
}

pub(super) fn grad(_op: &SoftcapGrad, _low: &mut Lowering<'_>) {
    panic!("softcap::grad: not written")
}
