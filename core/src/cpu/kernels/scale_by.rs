//! `scale_by`, elementwise; the scalar's gradient in f64 over pieces joined in order.

use super::clip_coefficient::long_dot;
use crate::cpu::launch::Launch;
use crate::cpu::rows::map;

/// `(x, s) → s·x`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x, s] = launch.floats();
    let [y] = launch.results();
    map(launch.threads, y, x, |x| s[0] * x);
}

/// `(x, s, dy) → (s·dy, Σ x·dy)`.
pub(in crate::cpu) fn grad(mut launch: Launch<'_>) {
    let [x, s, dy] = launch.floats();
    let [dx, ds] = launch.results();
    map(launch.threads, dx, dy, |dy| s[0] * dy);
    ds[0] = long_dot(launch.threads, x, dy) as f32;
}
