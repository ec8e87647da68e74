//! Launches of `attention`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::Attention;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn attention(_op: &Attention, _low: &mut Lowering<'_>) {
    panic!("attention::attention: not written")
}
