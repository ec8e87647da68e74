//! Launches of `newton_schulz`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::NewtonSchulz;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn newton_schulz(_op: &NewtonSchulz, _low: &mut Lowering<'_>) {
    panic!("newton_schulz::newton_schulz: not written")
}
