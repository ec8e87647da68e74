//! `leaky_relu_squared`, elementwise.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{map, map2};
use crate::ops::{LeakyReluSquared, LeakyReluSquaredGrad};

/// `(z) → (z if z ≥ 0 else slope·z)²`.
pub(in crate::cpu) fn run(op: &LeakyReluSquared, mut launch: Launch<'_>) {
    let slope = op.slope as f32;
    let [z] = launch.floats();
    let [h] = launch.results();
    map(launch.threads, h, z, |z| {
        let leaky = if z >= 0.0 { z } else { slope * z };
        leaky * leaky
    });
}

/// `(z, dh) → 2z·dh`, times slope² below zero.
pub(in crate::cpu) fn grad(op: &LeakyReluSquaredGrad, mut launch: Launch<'_>) {
    let below = (2.0 * op.slope * op.slope) as f32;
    let [z, dh] = launch.floats();
    let [dz] = launch.results();
    map2(launch.threads, dz, z, dh, |z, dh| (if z >= 0.0 { 2.0 } else { below }) * z * dh);
}
