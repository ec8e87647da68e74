//! Launches of `smear_gate`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{SmearGate, SmearGateGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn smear_gate(_op: &SmearGate, _low: &mut Lowering<'_>) {
    panic!("smear_gate::smear_gate: not written")
}

pub(super) fn grad(_op: &SmearGateGrad, _low: &mut Lowering<'_>) {
    panic!("smear_gate::grad: not written")
}
