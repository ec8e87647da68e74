//! Launches of `fake_quant`, `soft_quant` and its gradient: every rule is a row of constants.

use crate::kernel::{Kernel, Param};
use crate::lower::Binding::{self, Input, Output};
use crate::lower::Lowering;
use golf_core::ops::{FakeQuant, SoftQuant, SoftQuantGrad};
use golf_core::quant::{FakeQuantRule, StepForm};

const SOURCE: &[&str] =
    &[include_str!("wide.wgsl"), include_str!("exact_f32.wgsl"), include_str!("fake_quant.wgsl")];
static FAKE_QUANT: Kernel = Kernel { name: "fake_quant", source: SOURCE, entry: "fake_quant", access: "rw" };
static SOFT_QUANT: Kernel = Kernel { name: "soft_quant", source: SOURCE, entry: "soft_quant", access: "rwr" };
static SOFT_QUANT_GRAD: Kernel =
    Kernel { name: "soft_quant_grad", source: SOURCE, entry: "soft_quant_grad", access: "rwrr" };

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

/// A workgroup per row of the first operand.
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
        (rule.c as usize).into(),
        (rule.lowest().unsigned_abs() as usize).into(),
        0.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::on_gpu;
    use super::*;
    use golf_core::quant::FakeQuantKind;
    use golf_core::tensor::Tensor;

    const KINDS: [FakeQuantKind; 5] = [
        FakeQuantKind::S585,
        FakeQuantKind::S861,
        FakeQuantKind::P549,
        FakeQuantKind::Max,
        FakeQuantKind::MaxFloorAfter,
    ];

    /// The same numbers on every machine, in (-1, 1).
    fn scrambled(i: usize) -> f32 {
        let hash = (i as u32).wrapping_mul(0x9e37_79b9).wrapping_add(12345);
        (hash ^ (hash >> 15)).wrapping_mul(0x85eb_ca6b) as i32 as f32 / (1u32 << 31) as f32
    }

    /// A row whose small entries lie within four units in the last place of a tie; the large ones set the step.
    fn near_ties(rule: FakeQuantRule, row: usize, k: usize) -> Vec<f32> {
        // From rows whose floors bind to rows far above them; every seventh is full of equal magnitudes.
        let size = [1e-14, 0.01, 1.0, 3.7, 41.0, 1e6][row % 6];
        let coarse = |x: f32| if row.is_multiple_of(7) { (4.0 * x).round() / 4.0 } else { x };
        let mut w: Vec<f32> = (0..k).map(|j| size * coarse(scrambled(row * k + j))).collect();
        if row % 2 == 1 {
            // An outlier: the quantile then lies in a wide gap, where roundings of its interpolation show.
            w[0] = 2.7 * size * (1.5 + scrambled(row));
        }
        let mut sorted: Vec<f32> = w.iter().map(|x| x.abs()).collect();
        sorted.sort_by(f32::total_cmp);
        let (step, small) = (rule.step(&w, &mut Vec::new()), 0.7 * sorted[k.saturating_sub(4)]);
        for (j, x) in w.iter_mut().enumerate().filter(|(_, x)| x.abs() < small) {
            let tie = ((x.abs() / step).floor() + 0.5) * step;
            let moved = f32::from_bits((tie.to_bits() + j as u32 % 9) - 4);
            // The one above the largest would change the step.
            *x = if moved < small { moved.copysign(*x) } else { *x };
        }
        w
    }

    #[test]
    fn bits_are_those_of_the_rule_even_beside_ties() {
        let Some(mut gpu) = on_gpu::open("bits_are_those_of_the_rule_even_beside_ties") else { return };
        let rows = 84;
        for (kind, c, k) in KINDS.into_iter().flat_map(|kind| {
            [(7, 1), (31, 2), (15, 17), (127, 900), (31, 1201), (15, 4100)].map(|(c, k)| (kind, c, k))
        }) {
            let rule = FakeQuantRule::new(kind, c);
            let w: Vec<f32> = (0..rows).flat_map(|row| near_ties(rule, row, k)).collect();
            let mut want = vec![0.0; w.len()];
            rule.apply(k, &w, &mut want);
            let x = Tensor::f32(&[rows, k], w);
            let got = on_gpu::run(&mut gpu, FakeQuant { rule }, &[&x]).to_f32();
            for (row, (got, want)) in got.chunks(k).zip(want.chunks(k)).enumerate() {
                let bits = |row: &[f32]| row.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(got), bits(want), "{kind:?} c={c} k={k}: row {row}");
            }
        }
    }
}
