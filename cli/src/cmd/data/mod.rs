//! `golf data`: questions about training and validation data.

mod audit;
mod source;

pub use audit::AuditArgs;
pub(super) use source::{Cut, scored, source};

use crate::exit::Outcome;
use clap::{Args, Subcommand};

/// Flags of `golf data`.
#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Clone, Debug)]
enum Command {
    /// Find validation documents and 13-grams in the training data; exit code 3 if there are too many
    Audit(AuditArgs),
}

/// Runs the command.
pub fn run(args: &DataArgs) -> Outcome {
    match &args.command {
        Command::Audit(args) => audit::run(args),
    }
}
