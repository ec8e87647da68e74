//! Single operations, forward and backward: `kernel.<op>.<operand>`, `.out`, `.cotangent` and `.d_<operand>`.
//!
//! The extents of an operation follow from its operands' shapes. Tokens are flattened, since a graph's activations are
//! matrices `[tokens, channels]`.

use super::{Site, groups};
use crate::selftest::fault::Fault;
use crate::selftest::fixture::Array;
use crate::selftest::report::CaseReport;
use crate::selftest::session::Session;
use crate::selftest::tolerance::Quantity;
use golf_core::graph::{Graph, ValueId};
use golf_core::ops::{
    self, Attention, HeadCrossEntropy, LeakyReluSquared, Mean, Op, QkNormRope, RMS_EPSILON, RmsNorm, ScaleBy,
    SmearGate, Xsa,
};
use golf_core::tensor::{Tensor, TensorType};

/// Cap of every published system's logits.
const SOFTCAP: f64 = 30.0;
/// Rotary base of every published system.
const ROPE_BASE: f64 = 10_000.0;

/// Replays every operation.
pub fn replay(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    for name in groups(site.fixture, "kernel.") {
        report.attempt(&format!("kernel.{name}"), |report| match name {
            "softcap_ce" => softcap_cross_entropy(site, report),
            _ => match rotated_of(name) {
                Some(dims) => Rotary { dims, at: format!("kernel.{name}") }.replay(site, report),
                None => Kernel::new(site, name)?.replay(site, report),
            },
        });
    }
    Ok(())
}

/// One operation with its operands.
struct Kernel {
    at: String,
    op: Op,
    operands: Vec<(&'static str, Array<f32>)>,
    /// Shape of the result in the fixture.
    shape: Vec<usize>,
}

impl Kernel {
    fn new(site: &Site<'_>, name: &str) -> Result<Self, Fault> {
        let names: &[&str] = match name {
            "rms" => &["x"],
            "attention" => &["q", "k", "v"],
            "xsa" => &["y", "v"],
            "smear" => &["n", "gate"],
            "relu2" | "leaky2" => &["z"],
            _ => {
                let expected = "an operation such as `rms` or `rope16of64`";
                return Err(Fault::TensorName { name: format!("kernel.{name}"), expected });
            }
        };
        let at = format!("kernel.{name}");
        let load = |key: &&'static str| Ok((*key, site.fixture.singles(&format!("{at}.{key}"))?));
        let operands: Vec<_> = names.iter().map(load).collect::<Result<_, Fault>>()?;
        let heads = |i: usize| -> Result<[usize; 4], Fault> {
            let (key, operand): &(&str, Array<f32>) = &operands[i];
            operand.shape.as_slice().try_into().map_err(|_| Fault::TensorShape {
                name: format!("{at}.{key}"),
                expected: vec![1, 1, 1, 1],
                got: operand.shape.clone(),
            })
        };
        let op: Op = match name {
            "rms" => RmsNorm { scale: 1.0 }.into(),
            "attention" => {
                let ([_, seq, heads, _], [_, _, kv_heads, _]) = (heads(0)?, heads(1)?);
                Attention { heads, kv_heads, seq }.into()
            }
            "xsa" => Xsa { heads: heads(0)?[2], kv_heads: heads(1)?[2] }.into(),
            "smear" => SmearGate { seq: operands[0].1.shape.get(1).copied().unwrap_or(1) }.into(),
            _ => LeakyReluSquared { slope: if name == "relu2" { 0.0 } else { 0.5 } }.into(),
        };
        let shape = operands[0].1.shape.clone();
        Ok(Self { at, op, operands, shape })
    }

    /// A matrix `[tokens, channels]`: heads are channels, and everything before them is tokens.
    fn flat(shape: &[usize]) -> Vec<usize> {
        match *shape {
            [b, t, h, c] => vec![b * t, h * c],
            [b, t, d] => vec![b * t, d],
            _ => shape.to_vec(),
        }
    }

    fn replay(&self, site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
        let tensors: Vec<(&str, Tensor)> = (self.operands.iter())
            .map(|(key, a)| (*key, Tensor::f32(&Self::flat(&a.shape), a.values.clone())))
            .collect();
        let cotangent = site.fixture.floats_of(&format!("{}.cotangent", self.at), &self.shape)?;
        let out = site.fixture.floats_of(&format!("{}.out", self.at), &self.shape)?;
        let (got, grads) = differentiate(site, &self.op, &tensors, &cotangent)?;
        report.compare(&self.at, Quantity::Kernel, "out", &got, &out);
        for ((key, operand), grad) in self.operands.iter().zip(grads) {
            let name = format!("d_{key}");
            let expected = site.fixture.floats_of(&format!("{}.{name}", self.at), &operand.shape)?;
            report.compare(&self.at, Quantity::Kernel, &name, &grad, &expected);
        }
        Ok(())
    }
}

/// The result of `op` and the gradients that follow from `cotangent`, all on the device.
fn differentiate(
    site: &Site<'_>,
    op: &Op,
    operands: &[(&str, Tensor)],
    cotangent: &[f64],
) -> Result<(Vec<f64>, Vec<Vec<f64>>), Fault> {
    let mut graph = Graph::new();
    let inputs: Vec<ValueId> =
        operands.iter().map(|(key, tensor)| graph.input(key, tensor.ty().clone())).collect();
    let outputs = graph.push(op.clone(), &inputs)?;
    graph.output("out", outputs[0]);
    let ty = graph.ty(outputs[0]).clone();
    let upstream = graph.input("cotangent", ty.clone());
    let mut given = vec![None; outputs.len()];
    given[0] = Some(upstream);
    let wanted = vec![true; inputs.len()];
    let node = ops::Site { inputs: &inputs, outputs: &outputs, grads: &given, wanted: &wanted };
    let grads = op.def().grad(&mut graph, &node)?;
    for (i, grad) in grads.into_iter().enumerate() {
        let grad = grad.ok_or(ops::OpError::NoGradient { op: op.def().name() })?;
        graph.output(&format!("d{i}"), grad);
    }
    let cotangent = Tensor::f64(&ty.shape, cotangent.to_vec());
    let mut given: Vec<(&str, &Tensor)> = operands.iter().map(|(key, tensor)| (*key, tensor)).collect();
    given.push(("cotangent", &cotangent));
    let mut results = Session::new(site.device)?.evaluate(&graph, &given)?.into_iter().map(|t| t.to_f64());
    let out = results.next().expect("the graph has an output");
    Ok((out, results.collect()))
}

/// Rotated channels and head width of a name such as `rope16of64`.
fn rotated_of(name: &str) -> Option<[usize; 2]> {
    let (rotated, width) = name.strip_prefix("rope")?.split_once("of")?;
    Some([rotated.parse().ok()?, width.parse().ok()?])
}

/// The rotation alone. The product's op normalizes each head first, so the fixture's numbers are normalized here: with
/// `r = 1/rms(x)` per head, `op(x) = r·rotate(x)`, and the gradient `e` of the rotation becomes
/// `r·(e - x·r²·mean(e ⊙ x))`.
struct Rotary {
    dims: [usize; 2],
    at: String,
}

impl Rotary {
    fn replay(&self, site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
        let [rope_dims, width] = self.dims;
        let name = format!("{}.x", self.at);
        let x = site.fixture.singles(&name)?;
        let [b, seq, heads, channels] = x.shape[..] else {
            return Err(Fault::TensorShape { name, expected: vec![1, 1, 1, width], got: x.shape });
        };
        if channels != width || rope_dims > width || rope_dims % 2 == 1 {
            return Err(Fault::TensorShape { name, expected: vec![b, seq, heads, width], got: x.shape });
        }
        let field = |key: &str| site.fixture.floats_of(&format!("{}.{key}", self.at), &x.shape);
        let (cotangent, mut out, mut grad) = (field("cotangent")?, field("out")?, field("d_x")?);
        for (i, head) in x.values.chunks(width).enumerate() {
            let mean = |f: &dyn Fn(usize) -> f64| (0..width).map(f).sum::<f64>() / width as f64;
            let at = |c: usize| f64::from(head[c]);
            let r = 1.0 / (mean(&|c| at(c) * at(c)) + RMS_EPSILON).sqrt();
            let range = i * width..(i + 1) * width;
            out[range.clone()].iter_mut().for_each(|y| *y *= r);
            let e = &mut grad[range];
            let along = mean(&|c| e[c] * at(c));
            (0..width).for_each(|c| e[c] = r * (e[c] - at(c) * r * r * along));
        }
        let op = QkNormRope { heads, seq, rope_dims, base: ROPE_BASE }.into();
        let operand = Tensor::f32(&[b * seq, heads * width], x.values.clone());
        let (got, grads) = differentiate(site, &op, &[("x", operand)], &cotangent)?;
        report.compare(&self.at, Quantity::Kernel, "out", &got, &out);
        report.compare(&self.at, Quantity::Kernel, "d_x", &grads[0], &grad);
        Ok(())
    }
}

/// Softcap and mean cross-entropy of given logits `z`: the head with an identity matrix for its embedding.
fn softcap_cross_entropy(site: &Site<'_>, report: &mut CaseReport) -> Result<(), Fault> {
    let at = "kernel.softcap_ce";
    let name = format!("{at}.z");
    let z = site.fixture.singles(&name)?;
    let [n, vocab] = z.shape[..] else {
        return Err(Fault::TensorShape { name, expected: vec![1, 1], got: z.shape });
    };
    let targets = site.fixture.ints(&format!("{at}.targets"))?;
    let mut graph = Graph::new();
    let x = graph.input("z", TensorType::f32(&[n, vocab]));
    let identity = graph.input("identity", TensorType::f32(&[vocab, vocab]));
    let ids = graph.input("targets", TensorType::i32(&targets.shape));
    let nll = graph.apply(HeadCrossEntropy { softcap: SOFTCAP }, &[x, identity, ids])?;
    let mean = graph.apply(Mean, &[nll])?;
    graph.output("out", mean);
    let cotangent = graph.scalar("cotangent");
    let scaled = graph.apply(ScaleBy, &[mean, cotangent])?;
    let grads = golf_core::autodiff::gradients(&mut graph, scaled, &[x])?;
    graph.output("d_z", grads[0].expect("the loss depends on the logits"));
    let one = |i: usize| if i / vocab == i % vocab { 1.0 } else { 0.0 };
    let identity = Tensor::f32(&[vocab, vocab], (0..vocab * vocab).map(one).collect());
    let weight = site.fixture.floats_of(&format!("{at}.cotangent"), &[])?;
    let (z, ids) = (Tensor::f32(&z.shape, z.values), Tensor::i32(&targets.shape, targets.values));
    let weight = Tensor::f64(&[], weight);
    let inputs = [("z", &z), ("identity", &identity), ("targets", &ids), ("cotangent", &weight)];
    let got = Session::new(site.device)?.evaluate(&graph, &inputs)?;
    for (key, got, shape) in [("out", &got[0], &[][..]), ("d_z", &got[1], z.shape())] {
        let expected = site.fixture.floats_of(&format!("{at}.{key}"), shape)?;
        report.compare(at, Quantity::Kernel, key, &got.to_f64(), &expected);
    }
    Ok(())
}
