//! `mean`, in f64 over pieces joined in order, and `spread`.

use crate::cpu::launch::Launch;
use crate::cpu::rows::sum;
use crate::ops::Spread;

/// `(x[n]) → Σx/n []`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x] = launch.floats();
    let total = sum(launch.threads, x.len(), |range| x[range].iter().map(|&x| f64::from(x)).sum());
    let [y] = launch.results();
    y[0] = (total / x.len() as f64) as f32;
}

/// `(g[]) → [n]`, every entry `g/n`.
pub(in crate::cpu) fn spread(op: &Spread, mut launch: Launch<'_>) {
    let value = launch.inputs[0].item() / op.n as f64;
    let [y] = launch.results();
    y.fill(value as f32);
}
