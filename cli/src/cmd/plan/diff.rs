//! `golf plan diff`: a device beside the oracle, step by step, to the first step that is off.
//!
//! Both get the same operands at every step: what the oracle made of the steps before, rounded to f32. So a difference is
//! the step's own and not inherited. The oracle is slow: a window of 32 tokens is a good start.

use super::PlanFlags;
use crate::exit::{Outcome, Status};
use crate::flags::DeviceFlags;
use crate::model::noise;
use crate::table::markdown;
use clap::Args;
use golf_core::backend::{Backend, BackendError, ExecutableId};
use golf_core::graph::Graph;
use golf_core::ops::OpError;
use golf_core::plan::{Plan, PlanOptions, SlotKind, Step};
use golf_core::reference::Reference;
use golf_core::tensor::{DType, Data, Tensor};
use pollster::block_on;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;

#[derive(Args, Clone, Debug)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    device: DeviceFlags,
    /// Largest difference of an entry, relative to its magnitude plus the root mean square of its tensor
    #[arg(long, default_value_t = 1e-4)]
    tolerance: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A backend that runs single steps; equal steps share their compiled form.
struct Single<'b> {
    backend: &'b mut dyn Backend,
    compiled: HashMap<String, ExecutableId>,
}

/// Name of operand `i`, different for different types: a packed operand is a state, whose type is fixed.
fn operand_name(step: &Step, i: usize) -> String {
    format!("operand {i} {}", step.inputs[i].ty)
}

impl Single<'_> {
    fn run(&mut self, step: &Step, operands: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let executable = self.compile(step)?;
        let names: Vec<String> = (0..operands.len()).map(|i| operand_name(step, i)).collect();
        let named = names.iter().map(String::as_str).zip(operands);
        let (packed, inputs): (Vec<_>, Vec<_>) =
            named.partition(|(_, tensor)| tensor.ty().dtype.quant_bits().is_some());
        for (name, tensor) in packed {
            self.backend.write_state(name, tensor)?;
        }
        self.backend.submit(executable, &inputs)?;
        let results = 0..step.outputs.len();
        results.map(|i| block_on(self.backend.read_output(executable, &format!("result {i}")))).collect()
    }

    fn compile(&mut self, step: &Step) -> Result<ExecutableId, BackendError> {
        let types: Vec<String> = step.inputs.iter().map(|operand| operand.ty.to_string()).collect();
        let key = format!("{:?} {types:?}", step.op);
        if let Some(&executable) = self.compiled.get(&key) {
            return Ok(executable);
        }
        let graph = one_step(step).expect("a step of a plan has the operands that its op takes");
        let plan = Plan::new(step.op.def().name(), &graph, PlanOptions::default());
        let executable = block_on(self.backend.compile(plan))?;
        self.compiled.insert(key, executable);
        Ok(executable)
    }
}

/// The graph that computes one step.
fn one_step(step: &Step) -> Result<Graph, OpError> {
    let mut graph = Graph::new();
    let operands: Vec<_> = (0..step.inputs.len())
        .map(|i| {
            let (name, ty) = (operand_name(step, i), step.inputs[i].ty.clone());
            if ty.dtype.quant_bits().is_some() { graph.state(&name, ty) } else { graph.input(&name, ty) }
        })
        .collect();
    let results = graph.push(step.op.clone(), &operands)?;
    results.iter().enumerate().for_each(|(i, result)| graph.output(&format!("result {i}"), *result));
    Ok(graph)
}

/// By how much one result is off.
struct Difference {
    /// In units of the tolerance's scale.
    worst: f64,
    entry: usize,
    expected: f64,
    got: f64,
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        Data::I32(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Data::F32(_) | Data::F64(_) | Data::Packed(_) => tensor.to_f64(),
    }
}

fn difference(got: &Tensor, want: &Tensor) -> Difference {
    let (got, want) = (numbers(got), numbers(want));
    let rms = (want.iter().map(|x| x * x).sum::<f64>() / want.len().max(1) as f64).sqrt();
    let off = |i: usize| match (got[i], want[i]) {
        (got, want) if got == want => 0.0,
        (got, _) if got.is_nan() => f64::INFINITY,
        (got, want) => (got - want).abs() / (want.abs() + rms),
    };
    let entry = (0..want.len()).max_by(|&a, &b| off(a).total_cmp(&off(b))).unwrap_or(0);
    let at = |values: &[f64]| values.get(entry).copied().unwrap_or(0.0);
    let worst = if want.is_empty() { 0.0 } else { off(entry) };
    Difference { worst, entry, expected: at(&want), got: at(&got) }
}

/// What both sides get of an oracle's result.
fn rounded(tensor: Tensor) -> Tensor {
    match tensor.data() {
        Data::F64(_) => Tensor::f32(tensor.shape(), tensor.to_f32()),
        Data::F32(_) | Data::I32(_) | Data::Packed(_) => tensor,
    }
}

pub(super) fn run(args: &DiffArgs) -> Outcome {
    let target = args.device.target();
    let model = args.plan.model()?;
    let plan = args.plan.plan(&model, target.plans)?;
    let mut known: BTreeMap<String, Tensor> = model.tensors(args.plan.phase);
    let inputs = model.inputs(args.plan.phase, args.plan.extents());
    known.extend(inputs.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)));
    let (mut device, mut oracle) = (target.open()?, Reference::new());
    let mut device = Single { backend: device.as_mut(), compiled: HashMap::new() };
    let mut oracle = Single { backend: &mut oracle, compiled: HashMap::new() };
    compare(&plan, slots(&plan, known), &mut device, &mut oracle, args)
}

/// What every slot holds before the first step; states that are no weights, such as caches, hold noise.
fn slots(plan: &Plan, mut known: BTreeMap<String, Tensor>) -> Vec<Option<Tensor>> {
    let mut slots: Vec<Option<Tensor>> = vec![None; plan.slots.len()];
    for port in plan.inputs.iter().chain(&plan.states) {
        let ty = &port.operand.ty;
        let noisy = || Tensor::f32(&ty.shape, (0..ty.numel()).map(noise).collect());
        let tensor = known.remove(&port.name).unwrap_or_else(noisy);
        slots[port.operand.slot] = Some(tensor);
    }
    debug_assert!(plan.slots.iter().zip(&slots).all(|(s, t)| s.kind == SlotKind::Scratch || t.is_some()));
    slots
}

fn compare(
    plan: &Plan,
    mut slots: Vec<Option<Tensor>>,
    device: &mut Single<'_>,
    oracle: &mut Single<'_>,
    &DiffArgs { tolerance, json, .. }: &DiffArgs,
) -> Result<Status, Box<dyn Error>> {
    let mut worst = BTreeMap::<&str, (usize, f64)>::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let operand =
            |slot: usize| slots[slot].clone().expect("the planner places a value before its readers");
        let operands: Vec<Tensor> = step.inputs.iter().map(|o| operand(o.slot)).collect();
        let (got, want) = (device.run(step, &operands)?, oracle.run(step, &operands)?);
        for (result, (got, want)) in got.iter().zip(&want).enumerate() {
            let off = difference(got, want);
            let exact = want.ty().dtype != DType::F32;
            let allowed = if exact { 0.0 } else { tolerance };
            if off.worst > allowed {
                let Difference { worst, entry, expected, got } = off;
                let (op, label, ty) = (format!("{:?}", step.op), &step.label, want.ty().to_string());
                match json {
                    true => println!(
                        "{:#}",
                        json!({
                            "ok": false, "step": index, "op": op, "label": label, "result": result, "type": ty, "entry": entry,
                            "expected": expected, "got": got, "off": worst, "allowed": allowed,
                        })
                    ),
                    false => println!(
                        "step {index}, {op}  # {label}\nresult {result}, `{ty}`, entry {entry}: expected {expected}, got {got}: off by {worst:.2e}, allowed {allowed:.0e}"
                    ),
                }
                return Ok(Status::CheckFailed);
            }
            let entry = worst.entry(step.op.def().name()).or_default();
            *entry = (entry.0 + 1, entry.1.max(off.worst));
        }
        for (operand, tensor) in step.outputs.iter().zip(want) {
            slots[operand.slot] = Some(rounded(tensor));
        }
    }
    let row = |(op, (results, worst)): (&&str, &(usize, f64))| {
        vec![(*op).to_owned(), results.to_string(), format!("{worst:.2e}")]
    };
    if json {
        let ops = worst
            .iter()
            .map(|(op, (results, worst))| json!({ "op": op, "results": results, "worst": worst }));
        let ops = ops.collect::<Vec<_>>();
        println!(
            "{:#}",
            json!({ "ok": true, "steps": plan.steps.len(), "tolerance": tolerance, "ops": ops })
        );
        return Ok(Status::Done);
    }
    println!("{}", markdown(&["op", "results", "worst"], &worst.iter().map(row).collect::<Vec<_>>()));
    println!("\nall {} steps within {tolerance:.0e} of the oracle", plan.steps.len());
    Ok(Status::Done)
}
