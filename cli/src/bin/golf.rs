//! The `golf` command: everything, by subcommand.

use clap::{CommandFactory, Parser, Subcommand};
use golf_cli::cmd::{
    bench, check, completions, data, doctor, eval, export, first_run, generate, import, inspect, kernels,
    plan, quantize, report, selftest, stats, submission, train, verify,
};
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
    /// Judge a result by the challenge's rules: PASS, FAIL or CANNOT TELL, with evidence
    Check(Box<check::CheckArgs>),
    /// Print a shell's completions
    Completions(completions::CompletionsArgs),
    /// Get a corpus, make shards, check them, and look for overlap
    Data(data::DataArgs),
    /// List the devices of this machine, and which kernels each would get
    Doctor(doctor::DoctorArgs),
    /// Score a model honestly (same as `golf-eval`)
    Eval(Box<eval::EvalArgs>),
    /// Turn an artifact into safetensors or a torch file
    Export(export::ExportArgs),
    /// Train, score and run a small model on a public-domain corpus, in a few minutes
    FirstRun(first_run::FirstRunArgs),
    /// Continue a prompt
    Generate(generate::GenerateArgs),
    /// Turn a torch file or safetensors into an artifact, without running any pickle
    Import(import::ImportArgs),
    /// Show what an artifact is made of
    Inspect(inspect::InspectArgs),
    /// Compile all CUDA kernels ahead; needs NVRTC, no GPU
    Kernels(kernels::KernelsArgs),
    /// Show, time or check the plan that a model runs
    Plan(Box<plan::PlanArgs>),
    /// Fit weights into a number of bytes
    Quantize(Box<quantize::QuantizeArgs>),
    /// Describe a training run: loss curve, speed, sizes, bits per byte
    Report(report::ReportArgs),
    /// Replay fixtures of an independent implementation
    Selftest(selftest::SelftestArgs),
    /// Mean, spread and significance of several runs
    Stats(stats::StatsArgs),
    /// Write submission.json and README.md from receipts, if every check holds
    Submission(Box<submission::SubmissionArgs>),
    /// Train a model (same as `golf-train`)
    Train(Box<train::TrainArgs>),
    /// Check that artifacts, receipts and checkpoints are whole; exit code 3 if one is not
    Verify(verify::VerifyArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    finish(|| match cli.command {
        Command::Bench(args) => bench::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Data(args) => data::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Export(args) => export::run(&args),
        Command::FirstRun(args) => first_run::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Quantize(args) => quantize::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Submission(args) => submission::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Verify(args) => verify::run(&args),
    })
}
