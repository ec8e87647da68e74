//! The `golf` command: everything, by subcommand.

use clap::{Parser, Subcommand};
use golf_cli::cmd::{bench, doctor, eval, first_run, import, inspect, plan, report, selftest, train};
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
    /// Time scoring, generation, training steps, or single kernels
    Bench(Box<bench::BenchArgs>),
    /// List the devices of this machine, and which kernels each would get
    Doctor(doctor::DoctorArgs),
    /// Score a model honestly (same as `golf-eval`)
    Eval(Box<eval::EvalArgs>),
    /// Train, score and run a small model on a public-domain corpus, in a few minutes
    FirstRun(first_run::FirstRunArgs),
    /// Turn a torch file or safetensors into an artifact, without running any pickle
    Import(import::ImportArgs),
    /// Show what an artifact is made of
    Inspect(inspect::InspectArgs),
    /// Show, time or check the plan that a model runs
    Plan(Box<plan::PlanArgs>),
    /// Describe a training run: loss curve, speed, sizes, bits per byte
    Report(report::ReportArgs),
    /// Replay fixtures of an independent implementation
    Selftest(selftest::SelftestArgs),
    /// Train a model (same as `golf-train`)
    Train(Box<train::TrainArgs>),
}

fn main() -> ExitCode {
    finish(match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::FirstRun(args) => first_run::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Train(args) => train::run(&args),
    })
}
