//! The `golf` command: everything, by subcommand.

use clap::{Parser, Subcommand};
use golf_cli::cmd::{bench, eval, import, inspect, plan};
use golf_cli::exit::finish;
use std::process::ExitCode;

/// Train, compress, honestly score and run 16 MB language models.
#[derive(Parser)]
#[command(name = "golf", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Time scoring and training steps
    Bench(bench::BenchArgs),
    /// Score a model honestly (same as `golf-eval`)
    Eval(Box<eval::EvalArgs>),
    /// Turn a torch file or safetensors into an artifact, without running any pickle
    Import(import::ImportArgs),
    /// Show what an artifact is made of
    Inspect(inspect::InspectArgs),
    /// Show the plan that a model runs
    Plan(plan::PlanArgs),
}

fn main() -> ExitCode {
    finish(match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Plan(args) => plan::run(&args),
    })
}
