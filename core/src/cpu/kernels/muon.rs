//! Muon: momentum and update elementwise, Newton–Schulz as matrix products in the orientation of the matrix.
//!
//! For `r ≤ c` an iteration is `a = x·xᵀ`, `x ← c₀x + b·x`; for `r > c` it is `a = xᵀ·x`, `x ← c₀x + x·b`, the same
//! numbers; `b = c₁a + c₂a²` in both. (For `x·xᵀ` a transposed copy is made, as in `linear`, because it is faster.)

use crate::cpu::launch::Launch;
use crate::cpu::product::{Old, View, ViewMut, product_tiled, transpose_tiled};
use crate::cpu::rows::{ELEMENTS, map, map_in_place, update};
use crate::cpu::simd::{madd, vector};
use crate::cpu::threads::Threads;
use crate::ops::{MuonApply, NEWTON_SCHULZ_COEFFICIENTS, NewtonSchulz};

/// `(m, g, clip[], mu[]) → (m, u)`, `m` in place.
pub(in crate::cpu) fn nesterov_momentum(mut launch: Launch<'_>) {
    let g = launch.inputs[1].f32s();
    let [clip, mu] = [2, 3].map(|i| launch.inputs[i].item() as f32);
    let [m, u] = launch.results();
    if !clip.is_finite() {
        return u.fill(0.0);
    }
    let pieces = m.chunks_mut(ELEMENTS).zip(u.chunks_mut(ELEMENTS));
    launch.threads.each(pieces.collect(), |index, (m, u)| {
        let g = &g[index * ELEMENTS..][..m.len()];
        vector(
            #[inline(always)]
            || {
                for ((m, u), g) in m.iter_mut().zip(u).zip(g) {
                    let g = clip * g;
                    *m = madd(mu, *m, g);
                    *u = madd(mu, *m, g);
                }
            },
        );
    });
}

/// `(w, o, lr_scale[]) → w` in place.
pub(in crate::cpu) fn apply(op: &MuonApply, mut launch: Launch<'_>) {
    let [rows, cols] = launch.inputs[0].matrix();
    let (before, step, after) = op.factors(launch.inputs[2].item(), rows, cols);
    let (keep, step) = ((after * before) as f32, -(after * step) as f32);
    let o = launch.inputs[1].f32s();
    let [w] = launch.results();
    update(launch.threads, w, o, |w, o| madd(keep, w, step * o));
}

/// Buffers of an iteration: `a` and `b` are square with the shorter side, `transposed` has the size of `x`.
struct Iteration<'a> {
    shape: [usize; 2],
    a: &'a mut [f32],
    b: &'a mut [f32],
    transposed: &'a mut [f32],
}

impl Iteration<'_> {
    /// `next ← c₀x + …` from `x`.
    fn run(&mut self, threads: &Threads, x: &[f32], next: &mut [f32]) {
        let [rows, cols] = self.shape;
        let [c0, c1, c2] = NEWTON_SCHULZ_COEFFICIENTS.map(|c| c as f32);
        let side = rows.min(cols);
        let view = View::new(x, rows, cols, cols);
        let square = |data| View::new(data, side, side, side);
        let (left, right) = if rows <= cols {
            transpose_tiled(threads, self.transposed, x, rows, cols);
            (view, View::new(self.transposed, cols, rows, rows))
        } else {
            (view.t(), view)
        };
        product_tiled(threads, ViewMut::new(self.a, side, side, side), Old::Drop, 1.0, left, right);
        map(threads, self.b, self.a, |a| c1 * a);
        let (a, b) = (square(self.a), ViewMut::new(self.b, side, side, side));
        product_tiled(threads, b, Old::Add, c2, a, a);
        map(threads, next, x, |x| c0 * x);
        let b = square(self.b);
        let (left, right) = if rows <= cols { (b, view) } else { (view, b) };
        product_tiled(threads, ViewMut::new(next, rows, cols, cols), Old::Add, 1.0, left, right);
    }
}

/// `(u₁[r,c], …) → (o₁[r,c], …)` in place, one after the other.
pub(in crate::cpu) fn newton_schulz(op: &NewtonSchulz, launch: Launch<'_>) {
    let shape = launch.inputs[0].matrix();
    let (len, side) = (shape[0] * shape[1], shape[0].min(shape[1]));
    let buffers = launch.scratch.at_least(2 * len + 2 * side * side);
    let (other, buffers) = buffers.split_at_mut(len);
    let (transposed, squares) = buffers.split_at_mut(len);
    let (a, b) = squares.split_at_mut(side * side);
    let mut iteration = Iteration { shape, a, b, transposed };
    for matrix in launch.outputs {
        orthogonalize(op.steps, launch.threads, &mut iteration, matrix, other);
    }
}

/// `u ← o`, with `other` as large as it.
fn orthogonalize(
    steps: usize,
    threads: &Threads,
    iteration: &mut Iteration<'_>,
    u: &mut [f32],
    other: &mut [f32],
) {
    let norm = super::clip_coefficient::long_dot(threads, u, u).sqrt() + 1e-7;
    let inverse = (1.0 / norm) as f32;
    // The two buffers take turns so that the last iteration writes the result.
    let (mut x, mut next) = if steps.is_multiple_of(2) {
        map_in_place(threads, u, |u| inverse * u);
        (u, other)
    } else {
        map(threads, other, u, |u| inverse * u);
        (other, u)
    };
    for _ in 0..steps {
        iteration.run(threads, x, next);
        std::mem::swap(&mut x, &mut next);
    }
}
