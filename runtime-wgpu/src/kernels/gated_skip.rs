//! Launches of `gated_skip` and its gradient, whose nine buffers are split over the two stages of its sums.

use super::column_sums::{ENTRY, Sums, WALK, column_sums};
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static GATED_SKIP: Kernel = Kernel {
    name: "gated_skip",
    source: &[include_str!("sigmoid.wgsl"), include_str!("gated_skip.wgsl")],
    entry: "gated_skip",
    access: "rrrrw",
};
static GATED_SKIP_GRAD: Kernel = Kernel {
    name: "gated_skip_grad",
    source: &[include_str!("sigmoid.wgsl"), WALK, include_str!("gated_skip_grad.wgsl")],
    entry: ENTRY,
    access: "rrrrrwww",
};

pub(super) const KERNELS: &[&Kernel] = &[&GATED_SKIP, &GATED_SKIP_GRAD];

pub(super) fn gated_skip(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0)];
    low.launch_elements(&GATED_SKIP, bindings, n * d, &[d.into()]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Input(4), Output(0), Output(1)];
    let sums = Sums::Two(Output(2), Output(3));
    column_sums(low, &GATED_SKIP_GRAD, bindings, low.matrix(0), None, sums);
}
