//! Launches of `muon`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::MuonApply;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn apply(_op: &MuonApply, _low: &mut Lowering<'_>) {
    panic!("muon::apply: not written")
}

pub(super) fn nesterov_momentum(_low: &mut Lowering<'_>) {
    panic!("muon::nesterov_momentum: not written")
}
