//! Launches of `mean` and `spread`.

use super::sums;
use crate::kernel::Kernel;
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::Spread;

static SPREAD: Kernel =
    Kernel { name: "spread", source: &[include_str!("spread.wgsl")], entry: "spread", access: "rw" };

pub(super) const KERNELS: &[&Kernel] = &[&SPREAD];

pub(super) fn mean(low: &mut Lowering<'_>) {
    let n = low.input(0).numel();
    sums::sum(low, Input(0), n, 1.0 / n as f64, Output(0));
}

pub(super) fn spread(op: &Spread, low: &mut Lowering<'_>) {
    low.launch_elements(&SPREAD, vec![Input(0), Output(0)], op.n, &[(1.0 / op.n as f64).into()]);
}
