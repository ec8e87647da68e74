//! Launches of `constant`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::Constant;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn constant(_op: &Constant, _low: &mut Lowering<'_>) {
    panic!("constant::constant: not written")
}
