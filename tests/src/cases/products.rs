//! Matrix products, orthogonalization, fake quantization.

use super::Case;
use super::head::BITS;
use crate::draw::Draw;
use golf_core::ops::*;
use golf_core::quant::{FakeQuantKind, FakeQuantRule};
use golf_core::tensor::Tensor;

/// `[rows, cols, depth]`: single elements, odd tails, more than one tile in either direction.
const PRODUCTS: [[usize; 3]; 9] = [
    [1, 1, 1],
    [1, 9, 33],
    [7, 1, 5],
    [33, 65, 17],
    [515, 9, 3],
    [5, 270, 40],
    [3, 530, 7],
    [1, 70, 1030],
    [1030, 1025, 3],
];

pub(super) fn linear() -> Vec<Case> {
    let plain = |[rows, cols, depth]: [usize; 3]| {
        let mut draw = Draw::new((rows * cols + depth) as u64);
        let name = format!("{rows}x{cols} over {depth}");
        let shapes = [
            (Linear::NT, [rows, depth], [cols, depth]),
            (Linear::NN, [rows, depth], [depth, cols]),
            (Linear::TN, [depth, rows], [depth, cols]),
        ];
        shapes.map(|(op, a, b)| {
            Case::new(format!("{:?} {name}", op.form), op, vec![draw.floats(&a, 1.0), draw.floats(&b, 1.0)])
        })
    };
    let packed = |bits: u32| {
        let mut draw = Draw::new(u64::from(bits));
        let name = format!("{bits} bits");
        let nt = vec![draw.floats(&[19, 37], 1.0), draw.packed(bits, 70, 37)];
        let nn = vec![draw.floats(&[19, 37], 1.0), draw.packed(bits, 37, 70)];
        let row = vec![draw.floats(&[1, 37], 1.0), draw.packed(bits, 70, 37)];
        let column = vec![draw.floats(&[19, 37], 1.0), draw.packed(bits, 37, 1)];
        let cases = [
            ("Nt", Linear::NT, nt),
            ("Nn", Linear::NN, nn),
            ("one row, Nt", Linear::NT, row),
            ("one column, Nn", Linear::NN, column),
        ];
        cases.map(|(form, op, inputs)| Case::new(format!("{form} {name}"), op, inputs))
    };
    PRODUCTS.into_iter().flat_map(plain).chain(BITS.into_iter().flat_map(packed)).collect()
}

/// `(name, a, w)` of products `a·wᵀ` with plain and packed weights; one row and many rows take paths of their own.
fn fused_products() -> Vec<(String, Tensor, Tensor)> {
    let plain = PRODUCTS.map(|[rows, cols, depth]| {
        let mut draw = Draw::new((rows * cols + depth) as u64);
        let (a, w) = (draw.floats(&[rows, depth], 1.0), draw.floats(&[cols, depth], 1.0));
        (format!("{rows}x{cols} over {depth}"), a, w)
    });
    let packed = BITS.into_iter().flat_map(|bits| {
        [1, 19].map(|rows| {
            let mut draw = Draw::new(u64::from(bits));
            let (a, w) = (draw.floats(&[rows, 37], 1.0), draw.packed(bits, 70, 37));
            (format!("{rows}x70 over 37, {bits} bits"), a, w)
        })
    });
    plain.into_iter().chain(packed).collect()
}

/// A square doubles relative errors.
const SQUARE: f64 = 2.0;

pub(super) fn linear_activation() -> Vec<Case> {
    let case = |(name, a, w): (String, Tensor, Tensor)| {
        [0.0, 0.5].map(|slope| {
            let inputs = vec![a.clone(), w.clone()];
            Case::new(format!("{name}, slope {slope}"), LinearActivation { slope }, inputs)
                .with_condition(SQUARE)
        })
    };
    fused_products().into_iter().flat_map(case).collect()
}

/// The activations' forms of every product, onto a sum.
pub(super) fn linear_add() -> Vec<Case> {
    let products = linear().into_iter().filter_map(|case| match case.op {
        Op::Linear(linear) if linear.form != LinearForm::Tn => Some((case.name, linear, case.inputs)),
        _ => None,
    });
    let onto = |(name, linear, mut inputs): (String, Linear, Vec<Tensor>)| {
        let [rows, cols, _] = linear.extents(inputs[0].shape(), inputs[1].shape());
        inputs.push(Draw::new(name.len() as u64).floats(&[rows, cols], 1.0));
        Case::new(name, LinearAdd { linear }, inputs)
    };
    products.map(onto).collect()
}

pub(super) fn linear_add_scaled() -> Vec<Case> {
    let case = |(name, a, w): (String, Tensor, Tensor)| {
        let (rows, cols, mut draw) = (a.shape()[0], w.shape()[0], Draw::new(name.len() as u64));
        let inputs = vec![draw.floats(&[rows, cols], 1.0), draw.floats(&[cols], 1.0), a, w];
        Case::new(name, LinearAddScaled, inputs)
    };
    fused_products().into_iter().map(case).collect()
}

pub(super) fn linear_residual() -> Vec<Case> {
    let case = |(name, a, w): (String, Tensor, Tensor)| {
        let (rows, cols, mut draw) = (a.shape()[0], w.shape()[0], Draw::new(name.len() as u64));
        Case::new(name, LinearResidual, vec![draw.floats(&[rows, cols], 1.0), a, w])
    };
    fused_products().into_iter().map(case).collect()
}

pub(super) fn newton_schulz() -> Vec<Case> {
    let case = |([r, c], steps, count): ([usize; 2], usize, usize)| {
        let mut draw = Draw::new((r + c) as u64);
        let bank = (0..count).map(|_| draw.floats(&[r, c], 0.1)).collect();
        // Every iteration multiplies small singular values, and their errors, by up to 3.4445.
        let growth = NEWTON_SCHULZ_COEFFICIENTS[0].powi(steps as i32);
        let name = format!("{count} of {r}x{c}, {steps} steps");
        Case::new(name, NewtonSchulz { steps }, bank).with_condition(growth)
    };
    let shapes = [([1, 1], 5), ([8, 8], 5), ([5, 20], 5), ([20, 5], 5), ([33, 48], 4), ([70, 30], 5)];
    // Several pieces of a norm, and more than one tile of every product.
    let long = [([70, 140], 2, 2), ([140, 70], 1, 3)];
    let banks = shapes.into_iter().flat_map(|(shape, steps)| [1, 2, 3].map(|count| (shape, steps, count)));
    banks.chain(long).map(case).collect()
}

/// Weights with a clear nearest integer: within f32 rounding of a tie the two precisions may part by a step.
fn clear_weights(rule: FakeQuantRule, rows: usize, cols: usize) -> Tensor {
    let mut values = Draw::new(cols as u64).floats(&[rows, cols], 2.0).to_f32();
    for row in values.chunks_exact_mut(cols) {
        let wide: Vec<f64> = row.iter().map(|&w| f64::from(w)).collect();
        let step = rule.step(&wide, &mut Vec::new());
        // Inside the clip the distance to a tie is at least a tenth of a step; the largest, which sets it, stays.
        let largest = wide.iter().map(|w| w.abs()).fold(0.0, f64::max);
        for w in row.iter_mut().filter(|w| f64::from(w.abs()) < 0.9 * largest) {
            let q = (f64::from(*w) / step).round();
            let offset = (f64::from(*w) / step - q).clamp(-0.4, 0.4);
            *w = ((q + offset) * step) as f32;
        }
    }
    Tensor::f32(&[rows, cols], values)
}

pub(super) fn fake_quant() -> Vec<Case> {
    use FakeQuantKind::{Max, MaxFloorAfter, P549, S585, S861};
    let case = |(kind, [rows, cols]): (FakeQuantKind, [usize; 2])| {
        let rule = FakeQuantRule::new(kind, 31);
        Case::new(
            format!("{kind:?} {rows}x{cols}"),
            FakeQuant { rule },
            vec![clear_weights(rule, rows, cols)],
        )
    };
    let shapes = [[1, 1], [3, 17], [40, 33]];
    [S585, S861, P549, Max, MaxFloorAfter]
        .into_iter()
        .flat_map(|kind| shapes.map(|s| (kind, s)))
        .map(case)
        .collect()
}

/// Rule, shape and sharpness of soft rounding.
fn soft_cases() -> Vec<(FakeQuantRule, [usize; 2], f64)> {
    use FakeQuantKind::{Max, P549, S585};
    let shapes = [[1, 1], [3, 17], [40, 33], [5, 2100]];
    let rules = [S585, P549, Max].map(|kind| FakeQuantRule::new(kind, 31));
    let all = rules.into_iter().flat_map(|rule| shapes.map(|shape| (rule, shape)));
    all.flat_map(|(rule, shape)| [1.0, 16.0].map(|sharpness| (rule, shape, sharpness))).collect()
}

/// Weights below 1, a tenth of a step of 1/31 or more away from its multiples, where the staircase bends.
fn between_integers(seed: u64, shape: &[usize]) -> Tensor {
    let mut draw = Draw::new(seed);
    let values = (0..shape.iter().product()).map(|_| {
        let integer = draw.below(54) as f64 - 27.0;
        ((integer + 0.1 + 0.8 * draw.uniform()) / 31.0) as f32
    });
    Tensor::f32(shape, values.collect())
}

/// One operand more for the gradient. Only where the step is a constant do differences see the slope alone.
fn soft(op: impl Fn(FakeQuantRule) -> Op, gradient: bool) -> Vec<Case> {
    let case = |(rule, shape, sharpness): (FakeQuantRule, [usize; 2], f64)| {
        let mut inputs = vec![between_integers(shape[1] as u64, &shape), Tensor::scalar(sharpness)];
        inputs.extend(gradient.then(|| Draw::new(9).floats(&shape, 1.0)));
        // A quotient of up to 31 is rounded, and the staircase is as steep as it is sharp.
        let condition = 1.0 + 31.0 * sharpness;
        let name = format!("{:?} {}x{}, sharpness {sharpness}", rule.kind, shape[0], shape[1]);
        let case = Case::new(name, op(rule), inputs).with_condition(condition);
        if rule.kind == FakeQuantKind::P549 { case } else { case.not_smooth() }
    };
    soft_cases().into_iter().map(case).collect()
}

pub(super) fn soft_quant() -> Vec<Case> {
    soft(|rule| SoftQuant { rule }.into(), false)
}

pub(super) fn soft_quant_grad() -> Vec<Case> {
    soft(|rule| SoftQuantGrad { rule }.into(), true)
}
