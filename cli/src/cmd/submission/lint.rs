//! What a `submission.json` must be before it is written.

use super::{Submission, SubmissionArgs};
use golf_core::check::CAP_BYTES;
use thiserror::Error;

/// Longest name or author, and longest blurb, in characters.
const MAX_NAME: usize = 100;
const MAX_BLURB: usize = 1000;

/// A field that cannot be submitted.
#[derive(Debug, PartialEq, Error)]
#[error("`{field}`: expected {expected}, got `{got}`")]
pub(super) struct LintError {
    field: &'static str,
    expected: &'static str,
    got: String,
}

/// Checks what people typed.
pub(super) fn words(args: &SubmissionArgs) -> Result<(), LintError> {
    let line = |text: &str, longest: usize| {
        !text.trim().is_empty() && text.chars().count() <= longest && !text.chars().any(char::is_control)
    };
    let account = |text: &str| {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        plain && !text.is_empty() && text.len() <= 39 && !text.starts_with('-')
    };
    let checks = [
        ("author", "a line of at most 100 characters", &args.author, line(&args.author, MAX_NAME)),
        ("name", "a line of at most 100 characters", &args.name, line(&args.name, MAX_NAME)),
        ("blurb", "a line of at most 1000 characters", &args.blurb, line(&args.blurb, MAX_BLURB)),
        ("github_id", "letters, digits and `-`", &args.github_id, account(&args.github_id)),
    ];
    match checks.into_iter().find(|(.., holds)| !holds) {
        Some((field, expected, got, _)) => Err(LintError { field, expected, got: got.clone() }),
        None => Ok(()),
    }
}

/// Checks what receipts and files gave.
pub(super) fn numbers(submission: &Submission) -> Result<(), LintError> {
    let score = |value: f64| value.is_finite() && value > 0.0;
    let runs = submission.seed_results.len();
    let checks = [
        ("val_bpb", "a positive number", submission.val_bpb.to_string(), score(submission.val_bpb)),
        ("val_loss", "a positive number", submission.val_loss.to_string(), score(submission.val_loss)),
        (
            "bytes_total",
            "1..=16000000 decimal bytes",
            submission.bytes_total.to_string(),
            (1..=CAP_BYTES).contains(&submission.bytes_total),
        ),
        ("seed_results", "at least one run", runs.to_string(), runs > 0),
    ];
    match checks.into_iter().find(|(.., holds)| !holds) {
        Some((field, expected, got, _)) => Err(LintError { field, expected, got }),
        None => Ok(()),
    }
}
