//! The `golf` command: everything, by subcommand.

use clap::{Parser, Subcommand};
use golf_cli::cmd::{bench, plan, selftest};
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
    /// Show the plan that a model runs
    Plan(plan::PlanArgs),
    /// Replay fixtures of an independent implementation
    Selftest(selftest::SelftestArgs),
}

fn main() -> ExitCode {
    finish(match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Selftest(args) => selftest::run(&args),
    })
}
