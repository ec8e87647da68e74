//! Ops that treat every element alike, and those of vectors and scalars.

use super::{Case, LENGTHS, MATRICES};
use crate::draw::Draw;
use golf_core::ops::*;
use golf_core::tensor::Tensor;

/// One case per length with `operands` tensors of standard deviation `scale`.
fn lengths(op: impl Into<Op>, operands: usize, scale: f64) -> Vec<Case> {
    let op = op.into();
    let case = |n: usize| {
        let mut draw = Draw::new(n as u64);
        let inputs = (0..operands).map(|_| draw.floats(&[n], scale)).collect();
        Case::new(format!("n={n}"), op.clone(), inputs)
    };
    LENGTHS.into_iter().map(case).collect()
}

/// The same with a scalar operand appended.
fn with_scalar(cases: Vec<Case>, scalar: f64) -> Vec<Case> {
    let append = |mut case: Case| {
        case.inputs.push(Tensor::scalar(f64::from(scalar as f32)));
        case.name += &format!(", scalar {scalar}");
        case
    };
    cases.into_iter().map(append).collect()
}

pub(super) fn add() -> Vec<Case> {
    lengths(Add, 2, 1.0)
}

pub(super) fn accumulate() -> Vec<Case> {
    let mut cases = with_scalar(lengths(Accumulate, 2, 1.0), 1.0);
    cases.extend(with_scalar(lengths(Accumulate, 2, 1.0), 0.25));
    let (nan, x) = (Tensor::f32(&[3], vec![f32::NAN; 3]), Draw::new(1).floats(&[3], 1.0));
    cases.push(Case::new("keep 0 forgets NaN", Accumulate, vec![nan, x, Tensor::scalar(0.0)]));
    cases
}

pub(super) fn average() -> Vec<Case> {
    let mut cases = with_scalar(lengths(Average, 2, 1.0), 0.997);
    cases.extend(with_scalar(lengths(Average, 2, 1.0), 0.0));
    cases
}

pub(super) fn constant() -> Vec<Case> {
    [1.0, -0.1].map(|value| Case::new(format!("{value}"), Constant { value }, vec![])).into()
}

pub(super) fn copy() -> Vec<Case> {
    lengths(Copy, 1, 1.0)
}

pub(super) fn leaky_relu_squared() -> Vec<Case> {
    [0.0, 0.5].into_iter().flat_map(|slope| lengths(LeakyReluSquared { slope }, 1, 2.0)).collect()
}

pub(super) fn leaky_relu_squared_grad() -> Vec<Case> {
    [0.0, 0.5].into_iter().flat_map(|slope| lengths(LeakyReluSquaredGrad { slope }, 2, 2.0)).collect()
}

pub(super) fn softcap() -> Vec<Case> {
    // Tiny, ordinary and saturated arguments.
    [1e-3, 10.0, 300.0].into_iter().flat_map(|scale| lengths(Softcap { cap: 30.0 }, 1, scale)).collect()
}

pub(super) fn softcap_grad() -> Vec<Case> {
    [1e-3, 10.0, 300.0].into_iter().flat_map(|scale| lengths(SoftcapGrad { cap: 30.0 }, 2, scale)).collect()
}

pub(super) fn mean() -> Vec<Case> {
    let shifted = |n: usize| Case::new(format!("n={n}"), Mean, vec![Draw::new(7).between(&[n], 1.0, 3.0)]);
    LENGTHS.into_iter().map(shifted).collect()
}

pub(super) fn spread() -> Vec<Case> {
    let spread = |n: usize| Case::new(format!("n={n}"), Spread { n }, vec![Tensor::scalar(1.5)]);
    LENGTHS.into_iter().map(spread).collect()
}

pub(super) fn scale_by() -> Vec<Case> {
    let scalars = [Tensor::scalar(0.75), Tensor::f32(&[1], vec![-1.5])];
    let case = |(n, s): (usize, &Tensor)| {
        Case::new(format!("n={n}, s={}", s.ty()), ScaleBy, vec![Draw::new(3).floats(&[n], 1.0), s.clone()])
    };
    scalars.iter().flat_map(|s| LENGTHS.into_iter().map(move |n| case((n, s)))).collect()
}

pub(super) fn scale_by_grad() -> Vec<Case> {
    // Both factors positive: the sum towards the scalar does not cancel.
    let case = |[n, d]: [usize; 2]| {
        let mut draw = Draw::new(5);
        let (x, dy) = (draw.between(&[n, d], 0.1, 1.0), draw.between(&[n, d], 0.1, 1.0));
        Case::new(format!("{n}x{d}"), ScaleByGrad, vec![x, Tensor::f32(&[1], vec![0.3]), dy])
    };
    MATRICES.into_iter().map(case).collect()
}

pub(super) fn row() -> Vec<Case> {
    let case = |index: usize| {
        Case::new(format!("row {index}"), Row { index }, vec![Draw::new(2).floats(&[3, 17], 1.0)])
    };
    [0, 2].map(case).into()
}

pub(super) fn row_grad() -> Vec<Case> {
    let op = |index| RowGrad { rows: 3, index };
    [0, 2]
        .map(|index| Case::new(format!("row {index}"), op(index), vec![Draw::new(2).floats(&[17], 1.0)]))
        .into()
}
