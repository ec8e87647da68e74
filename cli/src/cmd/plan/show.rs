//! `golf plan show`: a plan as text that reads like a hand-written forward and backward, and the memory that it takes.

use super::PlanFlags;
use crate::device::{Device, cuda_precision};
use crate::exit::{Outcome, Status};
use crate::flags::{PassFlags, precision};
use clap::Args;
use golf_core::plan::Plan;
use golf_core::train::recipe::Precision;
use golf_wgpu::Capabilities;

#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    passes: PassFlags,
    /// Whose memory is stated: `cuda`, or any other GPU
    #[arg(long, value_name = "wgpu|cuda", default_value_t = Device::Wgpu(0))]
    device: Device,
    /// How products are formed on `cuda`
    #[arg(long, value_name = "f32|bf16", default_value = "f32", value_parser = precision())]
    precision: Precision,
    /// Print memory and work only, not the steps
    #[arg(long)]
    summary: bool,
}

pub(super) fn run(args: &ShowArgs) -> Outcome {
    let plan = args.plan.plan(&args.plan.model()?, args.passes.options())?;
    let text = plan.to_string();
    if args.summary {
        text.lines().take(2).for_each(|line| println!("{line}"));
        println!("hash: {}", plan.hash());
    } else {
        print!("{text}");
    }
    println!("{}", memory(&plan, args.device, args.precision));
    if let (Device::Cuda(_), Precision::Bf16) = (args.device, args.precision) {
        println!("products in bf16, by cuBLASLt where it is there and agrees with our own kernel:");
        let products = golf_cuda::library_products(&plan);
        products.iter().for_each(|(gemm, count)| println!("  {count} x {gemm}"));
    }
    Ok(Status::Done)
}

/// One line: the buffers of a plan on an NVIDIA GPU, or on any other with WebGPU's default features.
fn memory(plan: &Plan, device: Device, precision: Precision) -> String {
    let (what, parts) = if let Device::Cuda(_) = device {
        let footprint = golf_cuda::Footprint::of(plan, cuda_precision(precision));
        let golf_cuda::Footprint { states, inputs, values, scratch } = footprint;
        let parts = [("states", states), ("inputs", inputs), ("values", values), ("scratch", scratch)];
        ("a CUDA GPU", [&parts[..], &[("total", footprint.total())]].concat())
    } else {
        let footprint = golf_wgpu::Footprint::of(plan, Capabilities::default());
        let golf_wgpu::Footprint { states, inputs, values, scratch, params } = footprint;
        let parts = [("states", states), ("inputs", inputs), ("values", values), ("scratch", scratch)];
        ("a GPU", [&parts[..], &[("params", params), ("total", footprint.total())]].concat())
    };
    let parts: Vec<_> =
        parts.iter().map(|(name, bytes)| format!("{name} {:.3} MB", *bytes as f64 / 1e6)).collect();
    format!("buffers on {what}: {}", parts.join(", "))
}
