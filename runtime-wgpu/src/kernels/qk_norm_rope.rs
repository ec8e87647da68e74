//! Launches of `qk_norm_rope`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{QkNormRope, QkNormRopeGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn qk_norm_rope(_op: &QkNormRope, _low: &mut Lowering<'_>) {
    panic!("qk_norm_rope::qk_norm_rope: not written")
}

pub(super) fn grad(_op: &QkNormRopeGrad, _low: &mut Lowering<'_>) {
    panic!("qk_norm_rope::grad: not written")
}
