//! `qk_norm_rope_at`: the kernel of `qk_norm_rope` with the angles from a run-time position on.

use super::qk_norm_rope::from_position;
use crate::cpu::launch::Launch;
use crate::ops::QkNormRopeAt;

/// `(x[n,h·c], position, gain[h]?) → y[n,h·c]`.
pub(in crate::cpu) fn run(op: &QkNormRopeAt, launch: Launch<'_>) {
    let (x, position) = (launch.inputs[0], launch.inputs[1].position());
    let gain = launch.inputs.get(2).map(|gain| gain.f32s());
    from_position(&op.whole(), position, x, gain, launch);
}
