//! `fake_quant`, `soft_quant`: rows by the rule's own f32 arithmetic, which is what training scripts compute.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ROWS;
use crate::ops::{FakeQuant, SoftQuant, SoftQuantGrad};

/// `(w[m,k]) → ŵ[m,k]`.
pub(in crate::cpu) fn run(op: &FakeQuant, mut launch: Launch<'_>) {
    let (w, k) = (launch.inputs[0].f32s(), launch.inputs[0].matrix()[1]);
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * k).collect(), |index, y| {
        op.rule.apply(k, &w[index * ROWS * k..][..y.len()], y);
    });
}

/// `(w[m,k], α) → ŵ[m,k]`.
pub(in crate::cpu) fn soft(op: &SoftQuant, mut launch: Launch<'_>) {
    let ([w, sharpness], k) = (launch.floats(), launch.inputs[0].matrix()[1]);
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * k).collect(), |index, y| {
        op.rule.soften(sharpness[0], k, &w[index * ROWS * k..][..y.len()], y);
    });
}

/// `(w[m,k], α, dŵ[m,k]) → dw[m,k]`.
pub(in crate::cpu) fn soft_grad(op: &SoftQuantGrad, mut launch: Launch<'_>) {
    let ([w, sharpness, dseen], k) = (launch.floats(), launch.inputs[0].matrix()[1]);
    let [dw] = launch.results();
    launch.threads.each(dw.chunks_mut(ROWS * k).collect(), |index, dw| {
        let (at, len) = (index * ROWS * k, dw.len());
        op.rule.soft_gradient(sharpness[0], k, &w[at..][..len], &dseen[at..][..len], dw);
    });
}
