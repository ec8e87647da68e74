//! Launches of `leaky_relu_squared` and its gradient.

use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{LeakyReluSquared, LeakyReluSquaredGrad};

static SOURCE: Source = Source { file: "leaky_relu_squared.cu", text: include_str!("leaky_relu_squared.cu") };
static LEAKY_RELU_SQUARED: Kernel =
    Kernel { source: &SOURCE, entry: "leaky_relu_squared", signature: "aouf", threads: ELEMENTS };
static LEAKY_RELU_SQUARED_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "leaky_relu_squared_grad", signature: "aaouf", threads: ELEMENTS };

pub(super) const KERNELS: &[&Kernel] = &[&LEAKY_RELU_SQUARED, &LEAKY_RELU_SQUARED_GRAD];

pub(super) fn leaky_relu_squared(op: &LeakyReluSquared, low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Output(0)];
    low.launch_eights(&LEAKY_RELU_SQUARED, bindings, low.output(0).numel(), &[op.slope.into()]);
}

pub(super) fn grad(op: &LeakyReluSquaredGrad, low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Output(0)];
    low.launch_eights(&LEAKY_RELU_SQUARED_GRAD, bindings, low.output(0).numel(), &[op.slope.into()]);
}
