//! `golf plan show`: the plan that a phase of a model runs, as text that reads like a hand-written forward and backward.

use crate::exit::{Outcome, Status};
use clap::{Args, Subcommand, ValueEnum};
use golf_core::model::gpt::{Weights, Window};
use golf_core::model::graphs::{decode_graph, gradient_graph, score_graph};
use golf_core::model::{parameters, presets};
use golf_core::plan::{Fusion, Plan, PlanOptions};

/// Flags of `golf plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    #[command(subcommand)]
    command: PlanCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum PlanCommand {
    /// Print steps, slots and memory.
    Show(ShowArgs),
}

#[derive(Args, Clone, Debug)]
struct ShowArgs {
    /// Model.
    #[arg(long, default_value = "pr549")]
    preset: String,
    /// What the plan is for.
    #[arg(long, value_enum, default_value = "score")]
    phase: Phase,
    /// Windows of a run.
    #[arg(long, default_value_t = 1)]
    rows: usize,
    /// Tokens of a window.
    #[arg(long, default_value_t = 1024)]
    seq: usize,
    /// New tokens of a decode step.
    #[arg(long, default_value_t = 1)]
    new: usize,
    /// Give every value a slot of its own.
    #[arg(long)]
    no_reuse: bool,
    /// Leave out the rewrite of this name, or all without a name.
    #[arg(long, value_name = "REWRITE", num_args = 0..=1, default_missing_value = "all")]
    no_fuse: Vec<String>,
    /// Print memory and work only, not the steps.
    #[arg(long)]
    summary: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Phase {
    /// Negative log-likelihood of every target.
    Score,
    /// Loss and all gradients.
    Train,
    /// Logits of the next token, behind the caches of a window.
    Decode,
}

/// All rewrites but those named.
fn fusion(off: &[String]) -> Result<Fusion, String> {
    off.iter().try_fold(Fusion::ALL, |fusion, name| {
        if name == "all" {
            return Ok(Fusion::NONE);
        }
        let known = || Fusion::names().collect::<Vec<_>>().join(", ");
        fusion.without(name).ok_or_else(|| format!("no rewrite `{name}`; one of: {}, all", known()))
    })
}

/// Runs the command.
pub fn run(args: &PlanArgs) -> Outcome {
    let PlanCommand::Show(args) = &args.command;
    let config = presets::model(&args.preset)
        .ok_or_else(|| format!("no preset `{}`; one of: {}", args.preset, presets::PRESETS.join(", ")))?;
    let (weights, window) = (Weights::default(), Window { rows: args.rows, seq: args.seq });
    let params: Vec<String> = parameters(&config).into_iter().map(|p| p.name).collect();
    let graph = match args.phase {
        Phase::Score => score_graph(&config, &weights, window)?,
        Phase::Train => gradient_graph(&config, &weights, window, &params)?,
        Phase::Decode => decode_graph(&config, &weights, args.seq, args.new)?,
    };
    let options = PlanOptions { reuse: !args.no_reuse, fuse: fusion(&args.no_fuse)? };
    let plan = Plan::new(&args.preset, &graph, options);
    let text = plan.to_string();
    if args.summary {
        text.lines().take(2).for_each(|line| println!("{line}"));
        println!("hash: {}", plan.hash());
    } else {
        print!("{text}");
    }
    Ok(Status::Done)
}
