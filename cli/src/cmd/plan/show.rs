//! `golf plan show`: a plan as text that reads like a hand-written forward and backward, and the memory that it takes.

use super::PlanFlags;
use crate::exit::{Outcome, Status};
use crate::flags::PassFlags;
use clap::Args;
use golf_wgpu::{Capabilities, Footprint};

#[derive(Args, Clone, Debug)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    plan: PlanFlags,
    #[command(flatten)]
    passes: PassFlags,
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
    println!("{}", memory(&Footprint::of(&plan, Capabilities::default())));
    Ok(Status::Done)
}

/// One line: the buffers of a plan on a GPU with WebGPU's default features.
fn memory(footprint: &Footprint) -> String {
    let Footprint { states, inputs, values, scratch, params } = *footprint;
    let parts = [
        ("states", states),
        ("inputs", inputs),
        ("values", values),
        ("scratch", scratch),
        ("params", params),
        ("total", footprint.total()),
    ];
    let parts = parts.map(|(name, bytes)| format!("{name} {:.3} MB", bytes as f64 / 1e6));
    format!("buffers on a GPU: {}", parts.join(", "))
}
