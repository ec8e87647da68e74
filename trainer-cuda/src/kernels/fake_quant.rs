//! Launches of `fake_quant`, `soft_quant` and its gradient: every rule is a row of constants.

use crate::kernel::{Kernel, Param, Source};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{FakeQuant, SoftQuant, SoftQuantGrad};
use golf_core::quant::{FakeQuantKind, FakeQuantRule};

static SOURCE: Source = Source { file: "fake_quant.cu", text: include_str!("fake_quant.cu") };
static FAKE_QUANT: Kernel =
    Kernel { source: &SOURCE, entry: "fake_quant", signature: "rwuuufffff", threads: 64 };
static SOFT_QUANT: Kernel =
    Kernel { source: &SOURCE, entry: "soft_quant", signature: "rwruuufffff", threads: 64 };
static SOFT_QUANT_GRAD: Kernel =
    Kernel { source: &SOURCE, entry: "soft_quant_grad", signature: "rwrruuufffff", threads: 64 };

pub(super) const KERNELS: &[&Kernel] = &[&FAKE_QUANT, &SOFT_QUANT, &SOFT_QUANT_GRAD];

/// Where the magnitude that a step derives from lies among the sorted magnitudes of a row.
struct Rank {
    /// The `need`-th largest is its lower neighbour.
    need: usize,
    /// Interpolation starts at the upper neighbour.
    from_high: bool,
    /// By how much of the gap it moves from there.
    factor: f32,
}

/// The largest magnitude.
const LARGEST: Rank = Rank { need: 1, from_high: false, factor: 0.0 };

/// The 0.9995 quantile of `k` values, ranked in f32 as `golf_core::quant::quantile` does.
fn quantile(k: usize) -> Rank {
    let rank = 0.9995f64 as f32 * (k - 1) as f32;
    let weight = rank - rank.floor();
    let need = k - (rank as usize).min(k - 1);
    // From the nearer end.
    if weight < 0.5 {
        Rank { need, from_high: false, factor: weight }
    } else {
        Rank { need, from_high: true, factor: weight - 1.0 }
    }
}

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
    let unit = 1.0 / f64::from(rule.c);
    let (rank, before, after) = match rule.kind {
        FakeQuantKind::S585 => (quantile(k), 0.0, unit),
        FakeQuantKind::S861 | FakeQuantKind::P549 => (LARGEST, 0.0, unit),
        FakeQuantKind::Max => (LARGEST, 1e-12, 0.0),
        FakeQuantKind::MaxFloorAfter => (LARGEST, 0.0, 1e-12),
    };
    vec![
        k.into(),
        rank.need.into(),
        rank.from_high.into(),
        f64::from(rank.factor).into(),
        before.into(),
        after.into(),
        f64::from(rule.c).into(),
        f64::from(rule.lowest()).into(),
    ]
}
