//! Launches of `channel_affine` and its gradient.

use super::column_sums::{ENTRY, Sums, WALK, column_sums};
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static CHANNEL_AFFINE: Kernel = Kernel {
    name: "channel_affine",
    source: &[include_str!("channel_affine.wgsl")],
    entry: "channel_affine",
    access: "rrrw",
};
static CHANNEL_AFFINE_GRAD: Kernel = Kernel {
    name: "channel_affine_grad",
    source: &[WALK, include_str!("channel_affine_grad.wgsl")],
    entry: ENTRY,
    access: "rrrww",
};

pub(super) const KERNELS: &[&Kernel] = &[&CHANNEL_AFFINE, &CHANNEL_AFFINE_GRAD];

pub(super) fn channel_affine(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    low.launch_elements(&CHANNEL_AFFINE, bindings, n * d, &[d.into()]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    let sums = Sums::Two(Output(1), Output(2));
    column_sums(low, &CHANNEL_AFFINE_GRAD, bindings, low.matrix(0), None, sums);
}
