//! Ops on rows of channels, with sums over all rows in their gradients.

use super::{Case, MATRICES};
use crate::draw::Draw;
use golf_core::ops::*;
use golf_core::tensor::Tensor;

/// What an operand of a row-wise op is: a matrix `[n, d]`, a vector `[d]`, or the pair of vectors `[2, d]`.
#[derive(Clone, Copy)]
enum Kind {
    Matrix,
    Vector,
    Pair,
}
use Kind::{Matrix, Pair, Vector};

/// One case per matrix shape.
fn matrices(op: impl Into<Op>, kinds: &[Kind]) -> Vec<Case> {
    let op = op.into();
    let case = |[n, d]: [usize; 2]| {
        let mut draw = Draw::new((n * d) as u64);
        let shape = |kind| match kind {
            Matrix => vec![n, d],
            Vector => vec![d],
            Pair => vec![2, d],
        };
        let inputs = kinds.iter().map(|&kind| draw.floats(&shape(kind), 1.0)).collect();
        Case::new(format!("{n}x{d}"), op.clone(), inputs)
    };
    MATRICES.into_iter().map(case).collect()
}

pub(super) fn add_scaled() -> Vec<Case> {
    matrices(AddScaled, &[Matrix, Vector, Matrix])
}

pub(super) fn add_scaled_grad() -> Vec<Case> {
    matrices(AddScaledGrad, &[Vector, Matrix, Matrix])
}

pub(super) fn channel_affine() -> Vec<Case> {
    matrices(ChannelAffine, &[Matrix, Vector, Vector])
}

pub(super) fn channel_affine_grad() -> Vec<Case> {
    matrices(ChannelAffineGrad, &[Matrix, Vector, Matrix])
}

pub(super) fn gated_skip() -> Vec<Case> {
    matrices(GatedSkip, &[Matrix, Matrix, Vector, Vector])
}

pub(super) fn gated_skip_grad() -> Vec<Case> {
    matrices(GatedSkipGrad, &[Matrix, Matrix, Vector, Vector, Matrix])
}

pub(super) fn residual_mix() -> Vec<Case> {
    matrices(ResidualMix, &[Matrix, Matrix, Pair])
}

pub(super) fn residual_mix_grad() -> Vec<Case> {
    matrices(ResidualMixGrad, &[Matrix, Matrix, Pair, Matrix])
}

/// The same with a row of zeros, where only ε keeps the root from zero.
fn with_zero_row(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        let (shape, mut values) = (case.inputs[0].shape().to_vec(), case.inputs[0].to_f32());
        let d = shape[1];
        values[..d].fill(0.0);
        if shape[0] > 1 {
            case.inputs[0] = Tensor::f32(&shape, values);
            case.name += ", a row of zeros";
        }
    }
    cases
}

pub(super) fn rms_norm() -> Vec<Case> {
    let scaled = [1.0, 0.3].into_iter().flat_map(|scale| matrices(RmsNorm { scale }, &[Matrix]));
    scaled.chain(with_zero_row(matrices(RmsNorm { scale: 1.0 }, &[Matrix]))).collect()
}

pub(super) fn rms_norm_grad() -> Vec<Case> {
    // One channel: the gradient cancels to the order of ε.
    matrices(RmsNormGrad { scale: 0.7 }, &[Matrix, Matrix])
        .into_iter()
        .filter(|c| c.inputs[0].shape()[1] > 1)
        .collect()
}

pub(super) fn rms_norm_grad_add() -> Vec<Case> {
    let onto = |case: Case| {
        let mut inputs = case.inputs;
        inputs.push(Draw::new(7).floats(inputs[0].shape(), 1.0));
        Case::new(case.name, RmsNormGradAdd { grad: RmsNormGrad { scale: 0.7 } }, inputs)
    };
    rms_norm_grad().into_iter().map(onto).collect()
}

pub(super) fn residual_mix_norm() -> Vec<Case> {
    let scaled = [1.0, 0.3].into_iter();
    scaled.flat_map(|scale| matrices(ResidualMixNorm { scale }, &[Matrix, Matrix, Pair])).collect()
}

/// As for [`rms_norm_grad`], more than one channel.
fn mixes_and_norms(op: impl Into<Op>, kinds: &[Kind]) -> Vec<Case> {
    matrices(op, kinds).into_iter().filter(|case| case.inputs[0].shape()[1] > 1).collect()
}

pub(super) fn residual_mix_norm_grad() -> Vec<Case> {
    let grad = ResidualMixNormGrad { scale: 0.7 };
    mixes_and_norms(grad, &[Matrix, Matrix, Pair, Matrix, Matrix])
}

pub(super) fn residual_mix_norm_grad_add() -> Vec<Case> {
    let grad = ResidualMixNormGrad { scale: 0.7 };
    mixes_and_norms(ResidualMixNormGradAdd { grad }, &[Matrix, Matrix, Pair, Matrix, Matrix, Matrix])
}

/// A matrix and a factor for each of its rows, more rows than a piece has among them.
fn rows_and_factors() -> impl Iterator<Item = (String, Vec<Tensor>)> {
    [[1, 1], [3, 5], [33, 31], [130, 257], [7, 1030]].into_iter().map(|[rows, cols]| {
        let mut draw = Draw::new((rows * cols) as u64);
        // Both factors of the sums are positive, so that they do not cancel.
        (format!("{rows}x{cols}"), vec![draw.between(&[rows, cols], 0.1, 1.0), draw.floats(&[rows], 1.0)])
    })
}

pub(super) fn scale_rows() -> Vec<Case> {
    rows_and_factors().map(|(name, inputs)| Case::new(name, ScaleRows, inputs)).collect()
}

pub(super) fn scale_rows_grad() -> Vec<Case> {
    let case = |(name, mut inputs): (String, Vec<Tensor>)| {
        inputs.push(Draw::new(11).between(inputs[0].shape(), 0.1, 1.0));
        Case::new(name, ScaleRowsGrad, inputs)
    };
    rows_and_factors().map(case).collect()
}

/// `(windows, seq, channels)` with windows that end inside pieces.
const WINDOWS: [[usize; 3]; 4] = [[1, 1, 3], [3, 5, 17], [2, 33, 40], [1, 100, 64]];

pub(super) fn smear_gate() -> Vec<Case> {
    let case = |[windows, seq, d]: [usize; 3]| {
        let mut draw = Draw::new((seq * d) as u64);
        let inputs = vec![draw.floats(&[windows * seq, d], 1.0), draw.floats(&[d], 1.0)];
        Case::new(format!("{windows} windows of {seq}, d={d}"), SmearGate { seq }, inputs)
    };
    WINDOWS.into_iter().map(case).collect()
}

pub(super) fn smear_gate_grad() -> Vec<Case> {
    let case = |[windows, seq, d]: [usize; 3]| {
        let (mut draw, n) = (Draw::new((seq * d) as u64), windows * seq);
        let inputs = vec![draw.floats(&[n, d], 1.0), draw.floats(&[d], 1.0), draw.floats(&[n, d], 1.0)];
        Case::new(format!("{windows} windows of {seq}, d={d}"), SmearGateGrad { seq }, inputs)
    };
    WINDOWS.into_iter().map(case).collect()
}

/// `(windows, op)` of heads of `width` channels.
fn rotations() -> Vec<(usize, usize, QkNormRope)> {
    let op = |heads, seq, rope_dims| QkNormRope { heads, seq, rope_dims, base: 10_000.0 };
    vec![
        (1, 4, op(1, 1, 4)),
        (2, 10, op(3, 7, 4)),
        (1, 64, op(2, 40, 16)),
        (2, 16, op(4, 33, 16)),
        (1, 6, op(2, 300, 0)),
        (2, 70, op(2, 1100, 66)),
        (3, 7, op(5, 21, 2)),
    ]
}

pub(super) fn qk_norm_rope() -> Vec<Case> {
    let cases = rotations().into_iter().flat_map(|(windows, width, op)| {
        let (mut draw, n) = (Draw::new(width as u64), windows * op.seq);
        let x = draw.floats(&[n, op.heads * width], 1.0);
        let gain = draw.between(&[op.heads], 0.5, 3.0);
        let name = format!("{windows} windows, {op:?}");
        let bare = Case::new(format!("{name}, no gain"), op.clone(), vec![x.clone()]);
        [bare, Case::new(name, op, vec![x, gain])]
    });
    cases.collect()
}

pub(super) fn qk_norm_rope_grad() -> Vec<Case> {
    let cases = rotations().into_iter().flat_map(|(windows, width, forward)| {
        let (mut draw, n) = (Draw::new(width as u64), windows * forward.seq);
        let shape = [n, forward.heads * width];
        let (x, dy) = (draw.floats(&shape, 1.0), draw.floats(&shape, 1.0));
        let gain = draw.between(&[forward.heads], 0.5, 3.0);
        let name = format!("{windows} windows, {forward:?}");
        let op = QkNormRopeGrad { forward };
        let bare = Case::new(format!("{name}, no gain"), op.clone(), vec![x.clone(), dy.clone()]);
        [bare, Case::new(name, op, vec![x, gain, dy])]
    });
    cases.collect()
}
