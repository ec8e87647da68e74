//! Launches of `sum_squares` and `clip_coefficient`.

use super::sums;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::ClipCoefficient;

static CLIP_COEFFICIENT: Kernel = Kernel {
    name: "clip_coefficient",
    source: &[include_str!("finite.wgsl"), include_str!("clip_coefficient.wgsl")],
    entry: "clip_coefficient",
    access: "rww",
};

pub(super) const KERNELS: &[&Kernel] = &[&CLIP_COEFFICIENT];

pub(super) fn clip_coefficient(op: &ClipCoefficient, low: &mut Lowering<'_>) {
    low.launch(&CLIP_COEFFICIENT, vec![Input(0), Output(0), Output(1)], vec![op.limit.into()], 1);
}

pub(super) fn sum_squares(low: &mut Lowering<'_>) {
    sums::squares(low, Input(0), low.input(0).numel(), Output(0));
}
