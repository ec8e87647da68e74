//! Launches of `adamw`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::AdamW;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn adamw(_op: &AdamW, _low: &mut Lowering<'_>) {
    panic!("adamw::adamw: not written")
}
