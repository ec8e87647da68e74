//! Launches of `linear`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::Linear;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn linear(_op: &Linear, _low: &mut Lowering<'_>) {
    panic!("linear::linear: not written")
}
