//! Launches of `smear_gate`, `smear_gate_cached` and the gradient.

use super::column_sums::{Sums, THREADS, column_sums, strips};
use crate::kernel::{ELEMENTS, Kernel, Source};
use crate::lower::Binding::{Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{SmearGate, SmearGateGrad};

static SOURCE: Source = Source { file: "smear_gate.cu", text: include_str!("smear_gate.cu") };
static SMEAR_GATE: Kernel =
    Kernel { source: &SOURCE, entry: "smear_gate", signature: "arouuu", threads: THREADS };
static SMEAR_GATE_CACHED: Kernel =
    Kernel { source: &SOURCE, entry: "smear_gate_cached", signature: "rrrrwuu", threads: ELEMENTS };
static SMEAR_GATE_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "smear_gate_grad", signature: "araowuuu", threads: THREADS };

pub(super) const KERNELS: &[&Kernel] = &[&SMEAR_GATE, &SMEAR_GATE_CACHED, &SMEAR_GATE_GRAD];

pub(super) fn smear_gate(op: &SmearGate, low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Output(0)];
    strips(low, &SMEAR_GATE, bindings, low.matrix(0), Some(op.seq));
}

pub(super) fn grad(op: &SmearGateGrad, low: &mut Lowering<'_>) {
    let bindings = vec![Input(0), Input(1), Input(2), Output(0)];
    column_sums(low, &SMEAR_GATE_GRAD, bindings, low.matrix(0), Some(op.seq), Sums::One(Output(1)));
}

pub(super) fn cached(low: &mut Lowering<'_>) {
    let [n, d] = low.matrix(0);
    let bindings = vec![Input(0), Input(1), Input(2), Input(3), Output(0)];
    low.launch_elements(&SMEAR_GATE_CACHED, bindings, n * d, &[d.into()]);
}
