//! Launches of `sgd`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::Sgd;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn sgd(_op: &Sgd, _low: &mut Lowering<'_>) {
    panic!("sgd::sgd: not written")
}
