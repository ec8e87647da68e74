//! Launches of `sum_squares` and `clip_coefficient`.

use super::sums;
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::ClipCoefficient;

static SOURCE: Source = Source { file: "clip_coefficient.cu", text: include_str!("clip_coefficient.cu") };
static CLIP_COEFFICIENT: Kernel =
    Kernel { source: &SOURCE, entry: "clip_coefficient", signature: "rwwf", threads: 32 };

pub(super) const KERNELS: &[&Kernel] = &[&CLIP_COEFFICIENT];

pub(super) fn clip_coefficient(op: &ClipCoefficient, low: &mut Lowering<'_>) {
    low.launch(&CLIP_COEFFICIENT, vec![Input(0), Output(0), Output(1)], vec![op.limit.into()], 1);
}

pub(super) fn sum_squares(low: &mut Lowering<'_>) {
    sums::squares(low, Input(0), low.input(0).numel(), Output(0));
}
