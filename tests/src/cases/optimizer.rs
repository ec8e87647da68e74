//! Updates of parameters, and what is measured of gradients.

use super::{Case, LENGTHS};
use crate::draw::Draw;
use golf_core::ops::*;
use golf_core::tensor::Tensor;

/// A scalar that f32 holds.
fn scalar(value: f64) -> Tensor {
    Tensor::scalar(f64::from(value as f32))
}

/// Coefficients of which an update changes nothing.
const NO_COEFFICIENTS: [f64; 2] = [f64::NAN, f64::INFINITY];

/// A gradient with an entry that is none.
fn broken() -> Tensor {
    Tensor::f32(&[2], vec![f32::NAN, 3.0])
}

pub(super) fn adamw() -> Vec<Case> {
    let op = AdamW { lr: 1e-2, weight_decay: 0.1, beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };
    let case = |n: usize| {
        let mut draw = Draw::new(n as u64);
        let [p, m, g] = [1.0, 0.1, 0.5].map(|scale| draw.floats(&[n], scale));
        let v = draw.between(&[n], 0.0, 0.1);
        let scalars = [0.8, 0.5, 0.1, 0.05].map(scalar);
        let inputs = [p, m, v, g].into_iter().chain(scalars).collect();
        Case::new(format!("n={n}"), op.clone(), inputs)
    };
    let mut cases: Vec<Case> = LENGTHS.into_iter().map(case).collect();
    let zeros = || Tensor::f32(&[4], vec![0.0; 4]);
    let inputs = [Draw::new(1).floats(&[4], 1.0), zeros(), zeros(), zeros()];
    let scalars = [1.0, 1.0, 0.1, 0.05].map(scalar);
    cases.push(Case::new("no gradient yet", op.clone(), inputs.into_iter().chain(scalars).collect()));
    cases.extend(NO_COEFFICIENTS.map(|clip| {
        let states = [1.0, 0.1, 0.2].map(|x| Tensor::f32(&[2], vec![x; 2]));
        let scalars = [clip, 1.0, 0.1, 0.05].map(scalar);
        let inputs = states.into_iter().chain([broken()]).chain(scalars).collect();
        Case::new(format!("coefficient {clip}"), op.clone(), inputs)
    }));
    cases
}

pub(super) fn sgd() -> Vec<Case> {
    let case = |n: usize| {
        let mut draw = Draw::new(n as u64);
        let mut inputs: Vec<Tensor> = (0..3).map(|_| draw.floats(&[n], 1.0)).collect();
        inputs.extend([0.7, 0.3].map(scalar));
        Case::new(format!("n={n}"), Sgd { lr: 0.05, momentum: 0.9 }, inputs)
    };
    let nothing = |clip: f64| {
        let states = [1.0, 0.1].map(|x| Tensor::f32(&[2], vec![x; 2]));
        let inputs = states.into_iter().chain([broken(), scalar(clip), scalar(1.0)]).collect();
        Case::new(format!("coefficient {clip}"), Sgd { lr: 0.05, momentum: 0.9 }, inputs)
    };
    LENGTHS.into_iter().map(case).chain(NO_COEFFICIENTS.map(nothing)).collect()
}

pub(super) fn nesterov_momentum() -> Vec<Case> {
    let case = |n: usize| {
        let mut draw = Draw::new(n as u64);
        let inputs = vec![draw.floats(&[n], 1.0), draw.floats(&[n], 1.0), scalar(0.6), scalar(0.95)];
        Case::new(format!("n={n}"), NesterovMomentum, inputs)
    };
    let nothing = |clip: f64| {
        let inputs = vec![Tensor::f32(&[2], vec![0.5; 2]), broken(), scalar(clip), scalar(0.95)];
        Case::new(format!("coefficient {clip}"), NesterovMomentum, inputs)
    };
    LENGTHS.into_iter().map(case).chain(NO_COEFFICIENTS.map(nothing)).collect()
}

pub(super) fn muon_apply() -> Vec<Case> {
    let case = |([r, c], decay_first): ([usize; 2], bool)| {
        let mut draw = Draw::new((r * c) as u64);
        let op = MuonApply { lr: 0.02, weight_decay: 0.04, decay_first };
        let inputs = vec![draw.floats(&[r, c], 1.0), draw.floats(&[r, c], 1.0), scalar(0.4)];
        Case::new(format!("{r}x{c}, decay first {decay_first}"), op, inputs)
    };
    [([1, 1], true), ([40, 9], true), ([9, 40], false), ([130, 150], false)].map(case).into()
}

pub(super) fn sum_squares() -> Vec<Case> {
    LENGTHS
        .map(|n| Case::new(format!("n={n}"), SumSquares, vec![Draw::new(n as u64).floats(&[n], 3.0)]))
        .into()
}

pub(super) fn clip_coefficient() -> Vec<Case> {
    let case = |(limit, squares): (f64, f64)| {
        Case::new(format!("limit {limit} of {squares}"), ClipCoefficient { limit }, vec![scalar(squares)])
    };
    let finite = [(1.0, 100.0), (1.0, 0.25), (0.0, 100.0), (0.3, 0.0)];
    let broken = [(1.0, f64::NAN), (0.0, f64::NAN), (1.0, f64::INFINITY), (0.0, f64::INFINITY)];
    // Sums of a model's tensors, few and many; of many one may be no number.
    let many = |(limit, count, last): (f64, usize, f64)| {
        let mut draw = Draw::new(count as u64);
        let mut squares = draw.between(&[count], 0.0, 2.0).to_f32();
        squares[count - 1] = last as f32;
        let inputs = squares.into_iter().map(|x| scalar(f64::from(x))).collect();
        Case::new(
            format!("limit {limit} of {count} sums, the last {last}"),
            ClipCoefficient { limit },
            inputs,
        )
    };
    let counts = [(0.5, 2, 3.0), (0.0, 7, 0.1), (1.0, 8, 1.0), (0.3, 300, 0.5), (1.0, 131, f64::NAN)];
    finite.into_iter().chain(broken).map(case).chain(counts.map(many)).collect()
}
