//! Launches of `scale_by` and its gradient.

use super::sums::{TOTAL, pieces, sum_all};
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SCALE_BY: Kernel =
    Kernel { name: "scale_by", source: &[include_str!("scale_by.wgsl")], entry: "scale_by", access: "rrw" };
static SCALE_BY_GRAD: Kernel = Kernel {
    name: "scale_by_grad",
    source: &[TOTAL, include_str!("scale_by_grad.wgsl")],
    entry: "scale_by_grad",
    access: "rrrww",
};

pub(super) const KERNELS: &[&Kernel] = &[&SCALE_BY, &SCALE_BY_GRAD];

pub(super) fn scale_by(low: &mut Lowering<'_>) {
    low.launch_elements(&SCALE_BY, vec![Input(0), Input(1), Output(0)], low.output(0).numel(), &[]);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let n = low.output(0).numel();
    let partials = low.scratch(pieces(n));
    let bindings = vec![Input(0), Input(1), Input(2), Output(0), partials.clone()];
    low.launch(&SCALE_BY_GRAD, bindings, vec![n.into()], pieces(n));
    sum_all(low, partials, pieces(n), 1.0, Output(1));
}
