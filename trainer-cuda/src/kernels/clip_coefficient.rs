//! Launches of `sum_squares` and `clip_coefficient`.

use super::sums;
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use crate::rows::Row;
use golf_core::ops::ClipCoefficient;

static SOURCE: Source = Source { file: "clip_coefficient.cu", text: include_str!("clip_coefficient.cu") };
static CLIP_COEFFICIENT: Kernel =
    Kernel { source: &SOURCE, entry: "clip_coefficient", signature: "r|wwf", threads: 256 };

pub(super) const KERNELS: &[&Kernel] = &[&CLIP_COEFFICIENT];

pub(super) fn clip_coefficient(op: &ClipCoefficient, low: &mut Lowering<'_>) {
    // The only block reads all rows.
    let sum = |i: usize| Row { pointers: vec![Input(i)], scalars: Vec::new(), blocks: usize::from(i == 0) };
    let sums = (0..low.inputs()).map(sum).collect();
    low.launch_rows(&CLIP_COEFFICIENT, sums, vec![Output(0), Output(1)], vec![op.limit.into()]);
}

pub(super) fn sum_squares(low: &mut Lowering<'_>) {
    sums::squares(low, Input(0), low.input(0).numel(), Output(0));
}
