//! `constant`.

use crate::cpu::launch::Launch;
use crate::ops::Constant;

/// `() → value[]`.
pub(in crate::cpu) fn run(op: &Constant, mut launch: Launch<'_>) {
    let [y] = launch.results();
    y[0] = op.value as f32;
}
