//! `copy`.

use crate::cpu::launch::Launch;
use crate::cpu::rows::pieces;

/// `(x) → x`.
pub(in crate::cpu) fn run(mut launch: Launch<'_>) {
    let [x] = launch.floats();
    let [y] = launch.results();
    pieces(launch.threads, y, |at, y| y.copy_from_slice(&x[at..at + y.len()]));
}
