//! Launches of `add_scaled` and its gradient.

use super::column_sums::{Sums, THREADS, column_sums, strips};
use crate::kernel::{Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;

static SOURCE: Source = Source { file: "add_scaled.cu", text: include_str!("add_scaled.cu") };
static ADD_SCALED: Kernel =
    Kernel { source: &SOURCE, entry: "add_scaled", signature: "araouu", threads: THREADS };
static ADD_SCALED_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "add_scaled_grad", signature: "raaowuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&ADD_SCALED, &ADD_SCALED_GRAD];

pub(super) fn add_scaled(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    strips(low, &ADD_SCALED, bindings, low.matrix(0), None);
}

pub(super) fn grad(low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(1)];
    column_sums(low, &ADD_SCALED_GRAD, bindings, low.matrix(1), None, Sums::One(Output(0)));
}
