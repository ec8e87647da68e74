//! Launches of `fake_quant`, `soft_quant` and its gradient: every rule is a row of constants.

use crate::kernel::{Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{FakeQuant, SoftQuant, SoftQuantGrad};
use golf_core::quant::{FakeQuantRule, StepForm};

static SOURCE: Source = Source { file: "fake_quant.cu", text: include_str!("fake_quant.cu") };
static FAKE_QUANT: Kernel =
    Kernel { source: &SOURCE, entry: "fake_quant", signature: "rwuuufffff", threads: 64 };
static SOFT_QUANT: Kernel =
    Kernel { source: &SOURCE, entry: "soft_quant", signature: "rwruuufffff", threads: 64 };
static SOFT_QUANT_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "soft_quant_grad", signature: "rwrruuufffff", threads: 64 };

pub(super) const KERNELS: &[&Kernel] = &[&FAKE_QUANT, &SOFT_QUANT, &SOFT_QUANT_GRAD];

pub(super) fn fake_quant(op: &FakeQuant, low: &mut Lowering<'_>) {
    by_rows(&FAKE_QUANT, op.rule, vec![Input(0), Output(0)], low);
}

pub(super) fn soft(op: &SoftQuant, low: &mut Lowering<'_>) {
    by_rows(&SOFT_QUANT, op.rule, vec![Input(0), Output(0), Input(1)], low);
}

pub(super) fn soft_grad(op: &SoftQuantGrad, low: &mut Lowering<'_>) {
    by_rows(&SOFT_QUANT_GRAD, op.rule, vec![Input(0), Output(0), Input(1), Input(2)], low);
}

/// A block per row of the first operand.
fn by_rows(kernel: &'static Kernel, rule: FakeQuantRule, bindings: Vec<Binding>, low: &mut Lowering<'_>) {
    let [m, k] = low.matrix(0);
    if k > 0 {
        low.launch(kernel, bindings, constants(rule, k), m);
    }
}

/// What the kernels know of `rule` for rows of `k` weights.
fn constants(rule: FakeQuantRule, k: usize) -> Vec<Param> {
    let StepForm { need, from_high, factor, before, after } = rule.form(k);
    vec![
        k.into(),
        need.into(),
        from_high.into(),
        f64::from(factor).into(),
        f64::from(before).into(),
        f64::from(after).into(),
        f64::from(rule.c).into(),
        f64::from(rule.lowest()).into(),
    ]
}
