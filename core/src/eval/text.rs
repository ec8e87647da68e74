//! A text as a stream: BOS, then the encoding of the whole text, with the bytes that each target is charged and the
//! part of the text that it stands for.
//!
//! Invariant: the bytes charged are those of the normalized text, or the stream is marked as lossy.

use super::receipt::{Marks, Source};
use super::stream::Stream;
use crate::digest::{hex, sha256_hex};
use crate::tokenizer::{AccountingError, Encoding, SPACE_SYMBOL, Tokenizer};
use thiserror::Error;

/// Why a text makes no stream.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TextError {
    /// The tokenizer has no begin-of-stream marker.
    #[error("the tokenizer has no begin-of-stream piece, which every scored stream starts with")]
    NoBos,
    /// The tokenizer's charges are not the bytes of the text.
    #[error(transparent)]
    Lossy(#[from] AccountingError),
}

/// A text, ready to be scored.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredText {
    /// Tokens and bytes.
    pub stream: Stream,
    /// What each target stands for, one entry a target. A byte that is only part of a character is shown as its piece,
    /// such as `<0xE2>`.
    pub shown: Vec<String>,
}

impl ScoredText {
    /// Encodes `text`.
    ///
    /// # Errors
    /// No BOS, or charges that are not the text's bytes; the latter only marks the stream when `allow_lossy` is set.
    pub fn new(tokenizer: &Tokenizer, text: &str, allow_lossy: bool) -> Result<Self, TextError> {
        let bos = tokenizer.bos().ok_or(TextError::NoBos)?;
        let encoding = tokenizer.encode_with_spans(text);
        let (accounting, lossy) = match tokenizer.account_encoding(text, &encoding) {
            Ok(accounting) => (accounting, false),
            Err(AccountingError::Lossy { accounting, .. }) if allow_lossy => (accounting, true),
            Err(error) => return Err(error.into()),
        };
        let ids: Vec<u32> = std::iter::once(bos).chain(encoding.ids.iter().copied()).collect();
        let table = tokenizer.byte_table();
        let charge = |pair: &[u32]| table.target_bytes(Some(pair[0]), pair[1]);
        let stream = Stream {
            target_bytes: ids.windows(2).map(charge).collect(),
            tokens: ids.into_iter().map(|id| id as i32).collect(),
            source: Source {
                text_sha256: Some(sha256_hex(text.as_bytes())),
                raw_bytes: Some(text.len() as u64),
                normalized_bytes: Some(accounting.normalized_bytes),
                tokenizer_identity: Some(hex(&tokenizer.identity())),
                ..Source::default()
            },
            marks: Marks { lossy_tokenizer: lossy, ..Marks::default() },
        };
        let shown = (0..encoding.ids.len()).map(|target| shown(tokenizer, &encoding, target)).collect();
        Ok(Self { stream, shown })
    }
}

/// The part of the text behind a target, spaces as spaces.
fn shown(tokenizer: &Tokenizer, encoding: &Encoding, target: usize) -> String {
    let bytes = &encoding.normalized.as_bytes()[encoding.span(target)];
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace(SPACE_SYMBOL, " "),
        Err(_) => tokenizer.shown(encoding.ids[target]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::train_bpe;

    fn tokenizer() -> Tokenizer {
        train_bpe(["the cat and the hat", "that cat sat on the mat"], 270)
            .expect("a corpus with enough pairs")
    }

    #[test]
    fn what_targets_stand_for_joins_to_the_text() {
        let text = ScoredText::new(&tokenizer(), "the cat sat", false).expect("plain text");
        assert_eq!(text.shown.concat().trim_start(), "the cat sat");
        assert_eq!(text.stream.tokens.len(), text.shown.len() + 1);
        assert_eq!(text.stream.target_bytes.iter().sum::<u32>(), 11);
    }

    #[test]
    fn parts_of_a_character_are_shown_as_their_bytes() {
        let text = ScoredText::new(&tokenizer(), "at €", false).expect("byte fallback");
        assert_eq!(text.shown[text.shown.len() - 3..], ["<0xE2>", "<0x82>", "<0xAC>"]);
    }
}
