//! Launches of `clip_coefficient`.

use crate::kernel::Kernel;
use crate::lower::Lowering;
use golf_core::ops::ClipCoefficient;

pub(super) const KERNELS: &[&Kernel] = &[];

pub(super) fn clip_coefficient(_op: &ClipCoefficient, _low: &mut Lowering<'_>) {
    panic!("clip_coefficient::clip_coefficient: not written")
}

pub(super) fn sum_squares(_low: &mut Lowering<'_>) {
    panic!("clip_coefficient::sum_squares: not written")
}
