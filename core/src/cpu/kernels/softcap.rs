//! `softcap`, elementwise.

use crate::cpu::launch::Launch;
use crate::cpu::rows::{map, map2};
use crate::cpu::simd::{tanh, tanh_slope};
use crate::ops::{Softcap, SoftcapGrad};

/// `(z) → cap·tanh(z/cap)`.
pub(in crate::cpu) fn run(op: &Softcap, mut launch: Launch<'_>) {
    let (cap, inverse) = (op.cap as f32, (1.0 / op.cap) as f32);
    let [z] = launch.floats();
    let [y] = launch.results();
    map(
        launch.threads,
        y,
        z,
        #[inline(always)]
        |z| cap * tanh(z * inverse),
    );
}

/// `(z, dy) → dy·(1 - tanh²(z/cap))`.
pub(in crate::cpu) fn grad(op: &SoftcapGrad, mut launch: Launch<'_>) {
    let inverse = (1.0 / op.cap) as f32;
    let [z, dy] = launch.floats();
    let [dz] = launch.results();
    map2(
        launch.threads,
        dz,
        z,
        dy,
        #[inline(always)]
        |z, dy| dy * tanh_slope(z * inverse),
    );
}
