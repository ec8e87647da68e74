//! `golf plan show`: a plan as text that reads like a hand-written forward and backward, and the memory that it takes; or the
//! memory of a training run, all of its plans side by side.

use super::PlanFlags;
use crate::config::{Config, ConfigError, Given, Resolved};
use crate::device::{Device, cuda_precision};
use crate::exit::{Outcome, Status};
use crate::flags::{PassFlags, precision};
use crate::training;
use clap::Args;
use clap::builder::PossibleValuesParser;
use golf_core::plan::{Operand, Plan};
use golf_core::train::presets;
use golf_core::train::recipe::Precision;
use golf_wgpu::Capabilities;
use serde_json::{Map, Value, json};

#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    plan: PlanFlags,
    /// Memory of a training run by this preset instead of a plan; a micro-batch is that of one of the challenge's eight GPUs
    /// unless `--rows` and `--window` say otherwise
    #[arg(long, conflicts_with_all = ["model", "phase", "bits"], value_parser = PossibleValuesParser::new(presets::names()))]
    preset: Option<String>,
    #[command(flatten)]
    passes: PassFlags,
    /// Whose memory is stated: `cuda`, or any other GPU
    #[arg(long, value_name = "wgpu|cuda", default_value_t = Device::Wgpu(0))]
    device: Device,
    /// How products are formed on `cuda` (default: f32 in a plan, bf16 in a training run)
    #[arg(long, value_name = "f32|bf16", value_parser = precision())]
    precision: Option<Precision>,
    /// Print memory and work only, not the steps
    #[arg(long)]
    summary: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs) -> Outcome {
    match &args.preset {
        Some(preset) => training(args, preset),
        None => plan(args),
    }
}

/// GPUs that the challenge divides a step among.
const GPUS: usize = 8;

/// The memory of a training run.
fn training(args: &ShowArgs, preset: &str) -> Outcome {
    let given = Given { preset: Some(preset.to_owned()), ..Given::default() };
    let mut config: Config = Resolved::new::<ConfigError>(&given, |_| Ok(0))?.config;
    let recipe = &mut config.recipe;
    recipe.precision = args.precision.unwrap_or(args.device.training_precision());
    let precision = format!("{:?}", recipe.precision).to_lowercase();
    let part = recipe.train_batch_tokens / GPUS / recipe.train_seq_len;
    recipe.train_seq_len = args.plan.window.unwrap_or(recipe.train_seq_len);
    let (rows, window) = (args.plan.rows.unwrap_or(part.max(1)), recipe.train_seq_len);
    let footprint = training::Footprint::of(&config, rows, args.device)?;
    let peak = footprint.peak();
    if args.json {
        let plans: Map<String, Value> =
            footprint.plans.iter().map(|(name, bytes)| ((*name).to_owned(), (*bytes).into())).collect();
        let device = args.device.to_string();
        println!(
            "{:#}",
            json!({
                "preset": preset, "device": device, "precision": precision, "rows": rows, "window": window,
                "states": footprint.states, "plans": plans, "peak_bytes": peak,
            })
        );
        return Ok(Status::Done);
    }
    let what = if let Device::Cuda(_) = args.device { "a CUDA GPU" } else { "a GPU" };
    println!(
        "training of {preset} on {what}, {rows} x {window} tokens a micro-batch, products in {precision}"
    );
    let line = |name: &str, bytes: u64| println!("  {name:<25} {:>10.1} MB", bytes as f64 / 1e6);
    line("weights and other states", footprint.states);
    footprint.plans.iter().for_each(|(name, bytes)| line(name, *bytes));
    println!(
        "peak {peak} bytes = {:.2} GB: of the gradients' plans one is there at a time, of the others all",
        peak as f64 / 1e9
    );
    Ok(Status::Done)
}

/// One plan.
fn plan(args: &ShowArgs) -> Outcome {
    let plan = args.plan.plan(&args.plan.model()?, args.passes.options())?;
    let precision = args.precision.unwrap_or_default();
    let memory = Memory::of(&plan, args.device, precision);
    if args.json {
        println!("{:#}", as_json(&plan, &memory, args.summary));
        return Ok(Status::Done);
    }
    let text = plan.to_string();
    if args.summary {
        text.lines().take(2).for_each(|line| println!("{line}"));
        println!("hash: {}", plan.hash());
    } else {
        print!("{text}");
    }
    println!("{}", memory.line());
    if let (Device::Cuda(_), Precision::Bf16) = (args.device, precision) {
        println!("products in bf16, by cuBLASLt where it is there and agrees with our own kernel:");
        let products = golf_cuda::library_products(&plan);
        products.iter().for_each(|(gemm, count)| println!("  {count} x {gemm}"));
    }
    Ok(Status::Done)
}

fn as_json(plan: &Plan, memory: &Memory, summary: bool) -> Value {
    let types = |operands: &[Operand]| -> Vec<String> { operands.iter().map(|o| o.ty.to_string()).collect() };
    let steps: Vec<Value> = (plan.steps.iter())
        .map(|step| {
            let (op, inputs, outputs) = (step.op.def().name(), types(&step.inputs), types(&step.outputs));
            json!({ "op": op, "label": step.label, "inputs": inputs, "outputs": outputs, "flops": step.flops(), "bytes": step.bytes() })
        })
        .collect();
    let memory: Map<String, Value> =
        memory.parts.iter().map(|(name, bytes)| ((*name).to_owned(), (*bytes).into())).collect();
    let count = steps.len();
    let steps = if summary { json!(count) } else { json!(steps) };
    json!({ "plan": plan.name, "hash": plan.hash(), "flops": plan.flops(), "memory": memory, "steps": steps })
}

/// The buffers of a plan on an NVIDIA GPU, or on any other with WebGPU's default features, in bytes.
struct Memory {
    device: &'static str,
    parts: Vec<(&'static str, u64)>,
}

impl Memory {
    fn of(plan: &Plan, device: Device, precision: Precision) -> Memory {
        if let Device::Cuda(_) = device {
            let footprint = golf_cuda::Footprint::of(plan, cuda_precision(precision));
            let golf_cuda::Footprint { states, inputs, values, scratch } = footprint;
            let parts = [("states", states), ("inputs", inputs), ("values", values), ("scratch", scratch)];
            Memory { device: "a CUDA GPU", parts: [&parts[..], &[("total", footprint.total())]].concat() }
        } else {
            let footprint = golf_wgpu::Footprint::of(plan, Capabilities::default());
            let golf_wgpu::Footprint { states, inputs, values, scratch, params } = footprint;
            let parts = [("states", states), ("inputs", inputs), ("values", values), ("scratch", scratch)];
            let more = [("params", params), ("total", footprint.total())];
            Memory { device: "a GPU", parts: [&parts[..], &more].concat() }
        }
    }

    fn line(&self) -> String {
        let parts = self.parts.iter().map(|(name, bytes)| format!("{name} {:.3} MB", *bytes as f64 / 1e6));
        format!("buffers on {}: {}", self.device, parts.collect::<Vec<_>>().join(", "))
    }
}
