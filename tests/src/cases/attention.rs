//! Attention and what is done to its result.

use super::Case;
use crate::draw::{Draw, evaluate};
use golf_core::ops::*;
use golf_core::tensor::Tensor;

/// `(windows, seq, heads, kv_heads, width)`: around blocks of 64, 128 and 256, groups of 1, 2 and 4.
const SHAPES: [[usize; 5]; 12] = [
    [1, 1, 1, 1, 4],
    [2, 7, 2, 1, 8],
    [3, 64, 2, 2, 16],
    [1, 70, 4, 2, 16],
    [2, 130, 4, 1, 5],
    [1, 257, 2, 1, 64],
    [1, 390, 1, 1, 12],
    [2, 40, 4, 2, 96],
    [1, 70, 2, 1, 128],
    [2, 35, 3, 1, 131],
    [1, 33, 2, 2, 68],
    [2, 32, 6, 2, 33],
];

fn operands([windows, seq, heads, kv_heads, width]: [usize; 5], scale: f64) -> Vec<Tensor> {
    let (mut draw, n) = (Draw::new((seq * width) as u64), windows * seq);
    let kv = [n, kv_heads * width];
    vec![draw.floats(&[n, heads * width], scale), draw.floats(&kv, scale), draw.floats(&kv, 1.0)]
}

fn name([windows, seq, heads, kv_heads, width]: [usize; 5]) -> String {
    format!("{windows} windows of {seq}, {heads} heads on {kv_heads} of width {width}")
}

/// Scores of this size round by as much more than scores of size 1.
const BIG: f64 = 300.0;

pub(super) fn attention() -> Vec<Case> {
    let case = |shape: [usize; 5]| {
        let [_, seq, heads, kv_heads, _] = shape;
        let op = Attention { heads, kv_heads, seq };
        let plain = Case::new(name(shape), op.clone(), operands(shape, 1.0));
        let scale = (BIG / 4.0).sqrt();
        let big = Case::new(format!("{}, big scores", name(shape)), op, operands(shape, scale));
        [plain, big.with_condition(BIG)]
    };
    SHAPES.into_iter().flat_map(case).collect()
}

pub(super) fn attention_grad() -> Vec<Case> {
    let case = |shape: [usize; 5]| {
        let [windows, seq, heads, kv_heads, width] = shape;
        let mut inputs = operands(shape, 1.0);
        inputs.extend(evaluate(Attention { heads, kv_heads, seq }, &inputs));
        inputs.push(Draw::new(9).floats(&[windows * seq, heads * width], 1.0));
        Case::new(name(shape), AttentionGrad { heads, kv_heads, seq }, inputs).with_condition(4.0)
    };
    // One token attends to itself alone: its gradient cancels to zero.
    SHAPES[1..].iter().copied().map(case).collect()
}

/// Values of which some are zero vectors, and some tiny.
fn odd_values(n: usize, kv_heads: usize, width: usize) -> Tensor {
    let mut values = Draw::new(4).floats(&[n, kv_heads * width], 1.0).to_f32();
    for (index, v) in values.chunks_exact_mut(width).enumerate() {
        match index % 5 {
            1 => v.fill(0.0),
            3 => v.iter_mut().for_each(|v| *v *= 1e-6),
            _ => {}
        }
    }
    Tensor::f32(&[n, kv_heads * width], values)
}

pub(super) fn xsa() -> Vec<Case> {
    let case = |[n, heads, kv_heads, width]: [usize; 4]| {
        let mut draw = Draw::new(3);
        let (y, v) = (draw.floats(&[n, heads * width], 1.0), draw.floats(&[n, kv_heads * width], 1.0));
        let (name, op) =
            (format!("{n} tokens, {heads} on {kv_heads} of width {width}"), Xsa { heads, kv_heads });
        let odd = vec![y.clone(), odd_values(n, kv_heads, width)];
        let odd = Case::new(format!("{name}, zero and tiny values"), op.clone(), odd).not_smooth();
        [Case::new(name, op, vec![y, v]), odd]
    };
    [[1, 1, 1, 4], [9, 4, 2, 5], [40, 4, 1, 16], [70, 8, 4, 64]].into_iter().flat_map(case).collect()
}

pub(super) fn xsa_grad() -> Vec<Case> {
    let case = |[n, heads, kv_heads, width]: [usize; 4]| {
        let (mut draw, shape) = (Draw::new(3), [n, heads * width]);
        let v = draw.floats(&[n, kv_heads * width], 1.0);
        let inputs = vec![draw.floats(&shape, 1.0), v, draw.floats(&shape, 1.0)];
        Case::new(
            format!("{n} tokens, {heads} on {kv_heads} of width {width}"),
            XsaGrad { heads, kv_heads },
            inputs,
        )
    };
    let mut cases: Vec<Case> = [[1, 1, 1, 4], [9, 4, 2, 5], [40, 4, 1, 16], [70, 8, 4, 64]].map(case).into();
    let (heads, kv_heads, mut draw) = (4, 2, Draw::new(8));
    let zeros = Tensor::f32(&[3, 10], vec![0.0; 30]);
    let inputs = vec![draw.floats(&[3, 20], 1.0), zeros, draw.floats(&[3, 20], 1.0)];
    cases.push(Case::new("zero values", XsaGrad { heads, kv_heads }, inputs));
    cases
}
