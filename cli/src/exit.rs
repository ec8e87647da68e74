//! How commands run and end: stable exit codes, errors on stderr with their causes, and a closed pipe on stdout ends them
//! as it ends every Unix tool.

use golf_core::compress::CompressError;
use std::error::Error;
use std::process::ExitCode;

#[cfg(unix)]
use {
    signal_hook::{consts::SIGPIPE, flag},
    std::sync::{Arc, atomic::AtomicBool},
};

/// Exit code for what was checked and does not hold.
const CHECK_FAILED: u8 = 3;
/// Exit code for what does not fit a budget.
const OVER_BUDGET: u8 = 4;

/// What every command returns.
pub type Outcome = Result<Status, Box<dyn Error>>;

/// A command's verdict when it ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All is well.
    Done,
    /// The command ran, and what it checked does not hold.
    CheckFailed,
    /// The command ran, and its file is larger than a budget allows.
    OverBudget,
    /// The command stopped on a signal after saving its work.
    Interrupted(u8),
}

impl Status {
    /// That of a file of `bytes` under a cap.
    pub fn of_size(bytes: u64, cap: u64) -> Status {
        if bytes > cap { Status::OverBudget } else { Status::Done }
    }

    /// The verdict behind the exit code of a process that ran to its end.
    pub fn of_code(code: i32) -> Option<Status> {
        match u8::try_from(code).ok()? {
            0 => Some(Status::Done),
            CHECK_FAILED => Some(Status::CheckFailed),
            OVER_BUDGET => Some(Status::OverBudget),
            signal => signal.checked_sub(128).filter(|signal| *signal > 0).map(Status::Interrupted),
        }
    }
}

/// Runs a command; prints an error with its chain of causes and maps the outcome to the exit code: 0 done, 1 failed, 3 a
/// check failed, 4 over budget, 128 + signal when interrupted (usage errors are clap's 2).
pub fn finish(command: impl FnOnce() -> Outcome) -> ExitCode {
    match end_on_closed_pipe().and_then(|()| command()) {
        Ok(Status::Done) => ExitCode::SUCCESS,
        Ok(Status::CheckFailed) => ExitCode::from(CHECK_FAILED),
        Ok(Status::OverBudget) => ExitCode::from(OVER_BUDGET),
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
            match error.downcast_ref() {
                Some(CompressError::OutOfReach { .. }) => ExitCode::from(OVER_BUDGET),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Undoes what Rust's start-up does: it ignores SIGPIPE, so that `println!` into `head -1` would panic.
#[cfg(unix)]
fn end_on_closed_pipe() -> Result<(), Box<dyn Error>> {
    let always = Arc::new(AtomicBool::new(true));
    flag::register_conditional_default(SIGPIPE, always)?;
    Ok(())
}

#[cfg(not(unix))]
fn end_on_closed_pipe() -> Result<(), Box<dyn Error>> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_back_from_its_code_and_a_failure_is_none() {
        let codes = [0, 3, 4, 143, 1, 2, 128, -1].map(Status::of_code);
        let verdicts = [Status::Done, Status::CheckFailed, Status::OverBudget, Status::Interrupted(15)];
        assert_eq!(codes[..4], verdicts.map(Some));
        assert_eq!(codes[4..], [None; 4]);
    }

    #[test]
    fn a_file_of_just_the_cap_is_within_it() {
        let status = [15_999_999, 16_000_000, 16_000_001].map(|bytes| Status::of_size(bytes, 16_000_000));
        assert_eq!(status, [Status::Done, Status::Done, Status::OverBudget]);
    }
}
