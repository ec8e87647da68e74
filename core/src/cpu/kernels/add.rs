//! `add` and `accumulate`, elementwise.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{map2, update};
use crate::cpu::simd::madd;

/// `(a, b) → a + b`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [a, b] = launch.floats();
    let [y] = launch.results();
    map2(launch.threads, y, a, b, |a, b| a + b);
}

/// `(sum, x, keep[]) → keep·sum + x` in place; `keep = 0` drops the old sum, NaN or not.
pub(in crate::cpu) fn accumulate(mut launch: Launch<'_>) {
    let (x, keep) = (launch.inputs[1].f32s(), launch.inputs[2].item() as f32);
    let [sum] = launch.results();
    if keep == 0.0 {
        update(launch.threads, sum, x, |_, x| x);
    } else {
        update(launch.threads, sum, x, |sum, x| madd(keep, sum, x));
    }
}
