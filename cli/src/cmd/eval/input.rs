//! A text or a shard as a stream of targets with the bytes that each is charged.

use super::EvalArgs;
use crate::cmd::load::{self, ChosenTokenizer, LoadError};
use golf_core::digest::{hex, sha256_hex};
use golf_core::eval::{Marks, Source, Stream};
use golf_core::tokenizer::{AccountingError, Tokenizer};
use std::path::Path;
use thiserror::Error;

/// Why there is no stream.
#[derive(Debug, Error)]
pub(in crate::cmd) enum InputError {
    /// A file could not be used.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The tokenizer's charges are not the bytes of the text.
    #[error(transparent)]
    Lossy(AccountingError),
    /// Fewer targets than asked for.
    #[error(
        "expected at least {wanted} targets, got {got}\nhint: lower --windows or --targets, or leave them out"
    )]
    TooShort {
        /// Targets asked for.
        wanted: usize,
        /// Targets there.
        got: usize,
    },
}

/// The stream that `args` name, its first `wanted` targets if that is given.
pub(super) fn stream(
    args: &EvalArgs,
    chosen: &ChosenTokenizer,
    bos: i32,
    wanted: Option<usize>,
) -> Result<Stream, InputError> {
    match (&args.text, &args.tokens) {
        (Some(path), _) => from_text(path, &chosen.tokenizer, bos, wanted, args.allow_lossy_tokenizer),
        (None, Some(path)) => from_shard(path, &chosen.tokenizer, wanted),
        (None, None) => unreachable!("clap requires one of the two"),
    }
}

/// Adds what the text does not know: the artifact, the tokenizer and whether it was forced.
pub(super) fn describe(mut stream: Stream, artifact_sha256: String, chosen: &ChosenTokenizer) -> Stream {
    stream.source.artifact_sha256 = Some(artifact_sha256);
    stream.source.tokenizer_identity = Some(hex(&chosen.tokenizer.identity()));
    stream.marks.forced_tokenizer = chosen.forced;
    stream
}

fn limit(wanted: Option<usize>, got: usize) -> Result<usize, InputError> {
    match wanted {
        Some(wanted) if wanted > got => Err(InputError::TooShort { wanted, got }),
        Some(wanted) => Ok(wanted),
        None => Ok(got),
    }
}

/// The first `wanted` targets of a text, all of them without a number; a lossy tokenizer marks the stream where
/// that is allowed.
pub(in crate::cmd) fn from_text(
    path: &Path,
    tokenizer: &Tokenizer,
    bos: i32,
    wanted: Option<usize>,
    allow_lossy: bool,
) -> Result<Stream, InputError> {
    let text = load::text(path)?;
    let mut encoding = tokenizer.encode_with_spans(&text);
    let targets = limit(wanted, encoding.ids.len())?;
    let raw_bytes = tokenizer.raw_prefix_bytes(&text, &encoding, targets);
    encoding.ids.truncate(targets);
    encoding.ends.truncate(targets);
    let (accounting, lossy) = match tokenizer.account_encoding(&text, &encoding) {
        Ok(accounting) => (accounting, false),
        Err(AccountingError::Lossy { accounting, .. }) if allow_lossy => (accounting, true),
        Err(error) => return Err(InputError::Lossy(error)),
    };
    let tokens: Vec<i32> = std::iter::once(bos).chain(encoding.ids.iter().map(|id| *id as i32)).collect();
    let target_bytes = target_bytes(tokenizer, &tokens);
    let charged: u64 = target_bytes.iter().map(|bytes| u64::from(*bytes)).sum();
    assert_eq!(charged, accounting.charged_bytes, "both sum the byte table, the first token after BOS");
    let source = Source {
        text_sha256: Some(sha256_hex(text.as_bytes())),
        raw_bytes: Some(raw_bytes as u64),
        normalized_bytes: Some(accounting.normalized_bytes),
        ..Source::default()
    };
    Ok(Stream { tokens, target_bytes, source, marks: Marks { lossy_tokenizer: lossy, ..Marks::default() } })
}

/// The first `wanted` targets of a shard.
pub(in crate::cmd) fn from_shard(
    path: &Path,
    tokenizer: &Tokenizer,
    wanted: Option<usize>,
) -> Result<Stream, InputError> {
    let (mut tokens, digest) = load::shard(path)?;
    let targets = limit(wanted, tokens.len() - 1)?;
    tokens.truncate(targets + 1);
    let target_bytes = target_bytes(tokenizer, &tokens);
    let source = Source { text_sha256: Some(digest), ..Source::default() };
    Ok(Stream { tokens, target_bytes, source, marks: Marks::default() })
}

fn target_bytes(tokenizer: &Tokenizer, tokens: &[i32]) -> Vec<u32> {
    let table = tokenizer.byte_table();
    tokens.windows(2).map(|pair| table.target_bytes(Some(pair[0] as u32), pair[1] as u32)).collect()
}
