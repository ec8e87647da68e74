//! Launches of `leaky_relu_squared`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{LeakyReluSquared, LeakyReluSquaredGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn leaky_relu_squared(_op: &LeakyReluSquared, _low: &mut Lowering<'_>) {
    panic!("leaky_relu_squared::leaky_relu_squared: not written")
}

pub(super) fn grad(_op: &LeakyReluSquaredGrad, _low: &mut Lowering<'_>) {
    panic!("leaky_relu_squared::grad: not written")
}
