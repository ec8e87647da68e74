//! Launches of `fake_quant`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::FakeQuant;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn fake_quant(_op: &FakeQuant, _low: &mut Lowering<'_>) {
    panic!("fake_quant::fake_quant: not written")
}
