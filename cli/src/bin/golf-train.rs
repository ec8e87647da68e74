//! The `golf-train` command: trains a model within a budget and writes its artifact.

use clap::Parser;
use golf_cli::cmd::train::{TrainArgs, run};
use golf_cli::exit::finish;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = TrainArgs::parse();
    finish(|| run(&args))
}
