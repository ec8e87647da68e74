//! How commands end: stable exit codes, errors on stderr with their causes.

use std::error::Error;
use std::process::ExitCode;

/// What every command returns.
pub type Outcome = Result<Status, Box<dyn Error>>;

/// A command's verdict when it ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Done,
    /// The command ran, and what it checked does not hold.
    CheckFailed,
    /// The command stopped on a signal after saving its work.
    Interrupted(u8),
}

/// Prints an error with its chain of causes and maps the outcome to the exit code: 0 done, 1 failed, 3 a check failed,
/// 128 + signal when interrupted (usage errors are clap's 2).
pub fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::CheckFailed) => ExitCode::from(3),
        Ok(Status::Interrupted(signal)) => ExitCode::from(128 + signal),
        Err(error) => {
            eprintln!("error: {error}");
            let mut said = error.to_string();
            let mut cause = error.source();
            while let Some(inner) = cause {
                let text = inner.to_string();
                // A message may already hold its cause's.
                if !said.contains(&text) {
                    eprintln!("  caused by: {text}");
                    said = text;
                }
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}
