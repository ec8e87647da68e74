//! The `golf` command: everything, by subcommand.

use clap::{Parser, Subcommand};
use golf_cli::cmd::{bench, eval, import, plan};
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
    /// Score a model honestly: bits per byte, with or without test-time training
    Eval(Box<eval::EvalArgs>),
    /// Turn a torch or safetensors checkpoint into an artifact
    Import(Box<import::ImportArgs>),
    /// Show the plan that a model runs
    Plan(plan::PlanArgs),
}

fn main() -> ExitCode {
    finish(match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Plan(args) => plan::run(&args),
    })
}
