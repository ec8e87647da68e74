//! Launches of `add_scaled` and its gradient.

use super::column_sums::{ENTRY, Sums, WALK, column_sums};
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static ADD_SCALED: Kernel = Kernel {
    name: "add_scaled",
    source: &[include_str!("add_scaled.wgsl")],
    entry: "add_scaled",
    access: "rrrw",
};
static ADD_SCALED_GRAD: Kernel = Kernel {
    name: "add_scaled_grad",
    source: &[WALK, include_str!("add_scaled_grad.wgsl")],
    entry: ENTRY,
    access: "rrrww",
};

pub(super) const KERNELS: &[&Kernel] = &[&ADD_SCALED, &ADD_SCALED_GRAD];

pub(super) fn add_scaled(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    low.launch_elements(&ADD_SCALED, bindings, n * d, &[d.into()]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(1)];
    column_sums(low, &ADD_SCALED_GRAD, bindings, low.matrix(1), None, Sums::One(Output(0)));
}
