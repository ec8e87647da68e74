//! Single ops as a training in bf16 runs them on an NVIDIA GPU: what they read flows out of another op and what they make into one,
//! so both are stored in bf16, and weights are rounded before.
//!
//! An op stands in its plan twice, over the same operands: with the first go the roundings of weights, which a step of training has
//! once for many rows, and the second is timed, by the device's own clock around its launches (as in `golf plan trace`). The ops
//! before it keep the device busy while the host queues it.

use super::{Row, Sizes};
use crate::device::Target;
use crate::model::noise;
use crate::samples::{deviation, median};
use golf_core::backend::{Backend, TraceEntry};
use golf_core::graph::{Graph, ValueId};
use golf_core::ops::{
    Attention, AttentionGrad, Copy, Embed, HeadCrossEntropy, HeadCrossEntropyGrad, Linear, LinearForm, Op,
    OpError,
};
use golf_core::plan::{Plan, PlanOptions};
use golf_core::tensor::{Tensor, TensorType};
use golf_cuda::Cuda;
use pollster::block_on;
use std::error::Error;

/// One op with its operands.
struct Case {
    op: Op,
    shape: String,
    operands: Vec<Operand>,
}

/// What an op reads.
#[derive(Clone, Debug)]
enum Operand {
    /// `[rows, columns]` out of another op.
    Flow([usize; 2]),
    /// A state in f32, such as a weight.
    State(Vec<usize>),
    /// A token for every row.
    Ids,
}

/// Rows of the tables that activations come out of, and the vocabulary.
const VOCAB: usize = 1024;

/// Times every case.
pub(super) fn rows(
    target: &Target,
    index: Option<usize>,
    sizes: Sizes,
    peak: Option<f64>,
    samples: u32,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for case in cases(sizes) {
        // A device of its own each: the largest operands of all do not fit beside each other everywhere.
        let mut cuda = target.cuda(index)?;
        rows.push(measure(&mut cuda, &case, target.plans, peak, samples)?);
        cuda.notes().iter().for_each(|note| eprintln!("note: {note}"));
    }
    Ok(rows)
}

/// Square products, which publications time too, and the products, attention and head of a layer of PR #549 over the tokens of a
/// micro-batch.
fn cases(sizes: Sizes) -> Vec<Case> {
    use Operand::{Flow, Ids, State};
    let (squares, [windows, seq], dim, hidden, heads): (&[usize], _, usize, usize, [usize; 2]) = match sizes {
        Sizes::Small => (&[64], [2, 64], 128, 192, [2, 1]),
        Sizes::Full => (&[2048, 4096, 8192], [48, 2048], 512, 1536, [8, 4]),
    };
    let (n, [heads, kv_heads], softcap) = (windows * seq, heads, 30.0);
    let product = |form: Linear, [rows, cols, depth]: [usize; 3]| {
        let (a, b) = match form.form {
            LinearForm::Nt => (Flow([rows, depth]), State(vec![cols, depth])),
            LinearForm::Nn => (Flow([rows, depth]), State(vec![depth, cols])),
            LinearForm::Tn => (Flow([depth, rows]), Flow([depth, cols])),
        };
        let shape = format!("{:?} {rows} x {cols} over {depth}", form.form).to_lowercase();
        Case { op: form.into(), shape, operands: vec![a, b] }
    };
    let mut cases: Vec<Case> = squares.iter().map(|&n| product(Linear::NT, [n, n, n])).collect();
    let layer = [
        (Linear::NT, [n, hidden, dim]),
        (Linear::NT, [n, dim, hidden]),
        (Linear::NN, [n, dim, hidden]),
        (Linear::TN, [hidden, dim, n]),
    ];
    cases.extend(layer.map(|(form, extents)| product(form, extents)));
    let width = dim / heads;
    let (q, kv) = (Flow([n, dim]), Flow([n, kv_heads * width]));
    let shape = format!("{windows} x {seq} tokens, {heads}/{kv_heads} heads of {width}");
    cases.push(Case {
        op: Attention { heads, kv_heads, seq }.into(),
        shape: shape.clone(),
        operands: vec![q.clone(), kv.clone(), kv.clone()],
    });
    cases.push(Case {
        op: AttentionGrad { heads, kv_heads, seq }.into(),
        shape,
        operands: vec![q.clone(), kv.clone(), kv, q.clone(), State(vec![n, heads]), q.clone()],
    });
    let shape = format!("{n} tokens of {dim}, vocabulary {VOCAB}");
    let read = vec![q, State(vec![VOCAB, dim]), Ids];
    let grad = HeadCrossEntropyGrad { softcap, wants_embedding: true };
    let of_rows = [State(vec![n]), State(vec![n])];
    cases.push(Case {
        op: HeadCrossEntropy { softcap }.into(),
        shape: shape.clone(),
        operands: read.clone(),
    });
    cases.push(Case { op: grad.into(), shape, operands: [&read[..], &of_rows].concat() });
    cases
}

impl Case {
    /// Rows of what flows.
    fn rows(&self) -> usize {
        let rows = self.operands.iter().find_map(|operand| match operand {
            Operand::Flow([rows, _]) => Some(*rows),
            Operand::State(_) | Operand::Ids => None,
        });
        rows.expect("every case has an activation")
    }

    /// The state behind operand `i`, if it has one.
    fn state(&self, i: usize) -> Option<(String, TensorType)> {
        match &self.operands[i] {
            Operand::Flow([rows, cols]) => {
                Some((format!("table {i}"), TensorType::f32(&[(*rows).min(VOCAB), *cols])))
            }
            Operand::State(shape) => Some((format!("state {i}"), TensorType::f32(shape))),
            Operand::Ids => None,
        }
    }

    fn plan(&self, options: PlanOptions) -> Result<Plan, OpError> {
        let mut graph = Graph::new();
        let ids = graph.input("ids", TensorType::i32(&[self.rows()]));
        let mut operands: Vec<ValueId> = Vec::new();
        for (i, operand) in self.operands.iter().enumerate() {
            let state = self.state(i).map(|(name, ty)| graph.state(&name, ty));
            operands.push(match (operand, state) {
                (Operand::Flow(_), Some(table)) => graph.apply(Embed, &[ids, table])?,
                (_, state) => state.unwrap_or(ids),
            });
        }
        for time in ["first", "second"] {
            for (i, result) in graph.push(self.op.clone(), &operands)?.into_iter().enumerate() {
                let result = graph.apply(Copy, &[result])?;
                graph.output(&format!("{time} {i}"), result);
            }
        }
        Ok(Plan::new(self.op.def().name(), &graph, options))
    }
}

fn measure(
    cuda: &mut Cuda,
    case: &Case,
    options: PlanOptions,
    peak: Option<f64>,
    samples: u32,
) -> Result<Row, Box<dyn Error>> {
    let op = case.op.def().name();
    for (name, ty) in (0..case.operands.len()).filter_map(|i| case.state(i)) {
        cuda.write_state(&name, &Tensor::f32(&ty.shape, (0..ty.numel()).map(noise).collect()))?;
    }
    let executable = block_on(cuda.compile(case.plan(options)?))?;
    let rows = case.rows();
    let below = rows.min(VOCAB);
    let ids = Tensor::i32(&[rows], (0..rows).map(|i| (i * 7919 % below) as i32).collect());
    let mut second = || -> Result<TraceEntry, Box<dyn Error>> {
        let steps = cuda.trace(executable, &[("ids", &ids)])?;
        Ok(steps.into_iter().rfind(|step| step.op == op).expect("the plan holds the op"))
    };
    second()?;
    let entries = (0..samples).map(|_| second()).collect::<Result<Vec<_>, _>>()?;
    let seconds: Vec<f64> = entries.iter().map(|entry| entry.seconds).collect();
    let rates: Vec<f64> =
        entries.iter().map(|entry| entry.flops as f64 / entry.seconds.max(1e-9) / 1e9).collect();
    let gflops = median(&rates);
    Ok(Row {
        op,
        kernels: Vec::new(),
        shape: case.shape.clone(),
        weights: "bf16".to_owned(),
        launches_per_sample: 1,
        milliseconds: median(&seconds) * 1e3,
        gflops,
        gflops_sd: deviation(&rates),
        peak_fraction: peak.map(|peak| gflops / peak),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use golf_core::plan::Activations;

    #[test]
    fn what_flows_is_stored_as_in_training_on_both_sides_of_the_second_op() {
        for case in cases(Sizes::Small) {
            let plan = case.plan(PlanOptions::default()).expect("a case is well typed");
            let activations = Activations::of(&plan);
            let steps: Vec<usize> = (0..plan.steps.len()).filter(|i| plan.steps[*i].op == case.op).collect();
            let &[_, second] = &steps[..] else { panic!("{}: {steps:?}", case.shape) };
            let flows: Vec<bool> = case.operands.iter().map(|o| matches!(o, Operand::Flow(_))).collect();
            assert_eq!(activations.inputs[second], flows, "{}", case.shape);
            let results = &activations.outputs[second];
            let weight = matches!(&case.op, Op::Linear(linear) if *linear == Linear::TN);
            let loss = matches!(case.op, Op::HeadCrossEntropy(_));
            assert_eq!(results[0], !(weight || loss), "{}", case.shape);
        }
    }
}
