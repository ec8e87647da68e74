//! `qk_norm_rope` head by head, with the angles from a table.

use super::rms_norm::{inverse_rms, row_grad};
use crate::cpu::launch::{Launch, Operand};
use crate::cpu::rows::{ColumnSums, ROWS};
use crate::cpu::simd::{dot, madd, vector};
use crate::cpu::threads::with_scratch;
use crate::ops::{QkNormRope, QkNormRopeGrad};

/// Rotates the first channels of `u` by −θ for `sign` 1, back for −1; `angles` are cosines, then sines.
#[inline(always)]
fn rotate(u: &mut [f32], angles: &[f32], sign: f32) {
    let half = angles.len() / 2;
    let (cos, sin) = angles.split_at(half);
    let (first, second) = u[..2 * half].split_at_mut(half);
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        let (old_a, old_b, sin) = (*a, *b, sign * sin);
        *a = madd(old_a, *cos, old_b * sin);
        *b = madd(old_b, *cos, -old_a * sin);
    }
}

/// `(x[n,h·c], gain[h]?) → y[n,h·c]`.
pub(in crate::cpu) fn run(op: &QkNormRope, launch: Launch<'_>) {
    let (x, gain) = (launch.inputs[0], launch.inputs.get(1).map(|gain| gain.f32s()));
    from_position(op, 0, x, gain, launch);
}

/// The launch's only result, for tokens of which the first stands at `first` of its window.
pub(super) fn from_position(
    op: &QkNormRope,
    first: usize,
    x: Operand<'_>,
    gain: Option<&[f32]>,
    mut launch: Launch<'_>,
) {
    let [_, cols] = x.matrix();
    let (width, x) = (cols / op.heads, x.f32s());
    let table = launch.rope.of(op);
    let [y] = launch.results();
    launch.threads.each(y.chunks_mut(ROWS * cols).collect(), |index, y| {
        for (row, y) in y.chunks_exact_mut(cols).enumerate() {
            let row = index * ROWS + row;
            let x = x[row * cols..].chunks_exact(width);
            let angles = &table[(first + row) % op.seq * op.rope_dims..][..op.rope_dims];
            vector(
                #[inline(always)]
                || {
                    for (h, (x, y)) in x.zip(y.chunks_exact_mut(width)).enumerate() {
                        let factor = inverse_rms(x) * gain.map_or(1.0, |gain| gain[h]);
                        y.iter_mut().zip(x).for_each(|(y, x)| *y = factor * x);
                        rotate(y, angles, 1.0);
                    }
                },
            );
        }
    });
}

/// `(x, gain?, dy) → (dx, dgain?)`.
pub(in crate::cpu) fn grad(op: &QkNormRopeGrad, mut launch: Launch<'_>) {
    let forward = &op.forward;
    let [n, cols] = launch.inputs[0].matrix();
    let (heads, width) = (forward.heads, cols / forward.heads);
    let (x, dy) = (launch.inputs[0].f32s(), launch.inputs[launch.inputs.len() - 1].f32s());
    let gain = (launch.inputs.len() == 3).then(|| launch.inputs[1].f32s());
    let table = launch.rope.of(forward);
    let mut outputs = std::mem::take(&mut launch.outputs).into_iter();
    let dx = outputs.next().expect("`infer` gives at least one result");
    let mut sums = ColumnSums::new(n, heads);
    let pieces = dx.chunks_mut(ROWS * cols).zip(sums.parts()).collect();
    launch.threads.each(pieces, |index, (dx, sums)| {
        with_scratch(width, |back| {
            for (row, dx) in dx.chunks_exact_mut(cols).enumerate() {
                let row = index * ROWS + row;
                let at = row * cols..(row + 1) * cols;
                let operands = x[at.clone()].chunks_exact(width).zip(dy[at].chunks_exact(width));
                let angles = &table[row % forward.seq * forward.rope_dims..][..forward.rope_dims];
                vector(
                    #[inline(always)]
                    || {
                        for (h, ((x, dy), dx)) in operands.zip(dx.chunks_exact_mut(width)).enumerate() {
                            // Rotating back `dy` instead of rotating `x` forward gives both gradients.
                            back.copy_from_slice(dy);
                            rotate(back, angles, -1.0);
                            let r = inverse_rms(x);
                            let along = dot(x, back);
                            sums[h] = madd(along, r, sums[h]);
                            row_grad(x, back, gain.map_or(1.0, |gain| gain[h]), r, along, dx);
                        }
                    },
                );
            }
        });
    });
    if let Some(dgain) = outputs.next() {
        sums.finish(dgain);
    }
}
