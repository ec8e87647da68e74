//! `golf data`: where training and validation data come from, and questions about them.

mod audit;
mod get;
pub(super) mod sotu;
mod source;
mod tokenize;
mod verify;

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
    /// Fetch a public-domain corpus with pip or npm
    Get(get::GetArgs),
    /// Make shards and a manifest of texts
    Tokenize(tokenize::TokenizeArgs),
    /// Check shards: header, length, hashes, ids; exit code 3 if something is wrong
    Verify(verify::VerifyArgs),
}

/// Runs the command.
pub fn run(args: &DataArgs) -> Outcome {
    match &args.command {
        Command::Audit(args) => audit::run(args),
        Command::Get(args) => get::run(args),
        Command::Tokenize(args) => tokenize::run(args),
        Command::Verify(args) => verify::run(args),
    }
}
