//! `average`, elementwise; `1 - keep` is formed in f64.

use crate::cpu::launch::Launch;
use crate::cpu::rows::update;
use crate::cpu::simd::madd;

/// `(mean, x, keep[]) → keep·mean + (1-keep)·x` in place.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let (x, keep) = (launch.inputs[1].f32s(), launch.inputs[2].item());
    let (old, new) = (keep as f32, (1.0 - keep) as f32);
    let [mean] = launch.results();
    update(launch.threads, mean, x, |mean, x| madd(old, mean, new * x));
}
