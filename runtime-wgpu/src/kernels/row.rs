//! Launches of `row`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::{Row, RowGrad};

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn row(_op: &Row, _low: &mut Lowering<'_>) {
    panic!("row::row: not written")
}

pub(super) fn grad(_op: &RowGrad, _low: &mut Lowering<'_>) {
    panic!("row::grad: not written")
}
