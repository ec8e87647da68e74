//! `fake_quant`: rows by the rule's own f32 arithmetic, which is what training scripts compute.

use crate::cpu::launch::Launch;
use crate::cpu::rows::ROWS;
use crate::ops::FakeQuant;

/// `(w[m,k]) → ŵ[m,k]`.
pub(in crate::cpu) fn run(op: &FakeQuant, mut launch: Launch<'_>) {
    let (w, k) = (launch.inputs[0].f32s(), launch.inputs[0].matrix()[1]);
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * k).collect(), |index, y| {
        op.rule.apply(k, &w[index * ROWS * k..][..y.len()], y);
    });
}
