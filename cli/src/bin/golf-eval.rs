//! The `golf-eval` command: an artifact and a text to bits per byte.

use clap::Parser;
use golf_cli::cmd::eval::{EvalArgs, run};
use golf_cli::exit::finish;
use std::process::ExitCode;

/// Score a model honestly: bits per byte, with or without score-first test-time training.
#[derive(Parser)]
#[command(name = "golf-eval", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    args: EvalArgs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    finish(|| run(&cli.args))
}
