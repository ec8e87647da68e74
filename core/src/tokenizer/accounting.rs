//! The check that the bytes charged for a text are the bytes that it has.
//!
//! Bits per byte is only as honest as its byte count: a tokenizer that maps characters to the unknown piece
//! drops their bytes, one that spells a space as three byte pieces invents some. So every scored text is
//! accounted for, token by token: the charge of the byte table must equal the UTF-8 length of the part of
//! the normalized text that the token stands for.
//!
//! The length of a normalized text is counted with U+2581 as the one space byte that it stands for, without
//! the dummy prefix or suffix, and without an escaped space at its very start, which the byte table never
//! charges after BOS. Normalization itself may change the text, which is why the raw length is reported
//! beside it.

use std::ops::Range;

use super::Tokenizer;
use super::encode::Encoding;

/// Byte counts of one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounting {
    /// Sum of the byte table's charges, the first token following BOS.
    pub charged_bytes: u64,
    /// UTF-8 length of the normalized text, dummy spaces and an escaped space at its start not counted.
    pub normalized_bytes: u64,
    /// UTF-8 length of the text as it was given.
    pub raw_bytes: u64,
}

/// The first token whose charge differs from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstLoss {
    /// Position among the ids of the text, BOS not counted.
    pub token: usize,
    /// The token.
    pub id: u32,
    /// Its piece.
    pub piece: String,
    /// What it stands for in the normalized text, at most a few dozen characters.
    pub text: String,
    /// Offset of that in the raw text, in bytes.
    pub raw_offset: usize,
    /// Bytes that the table charges.
    pub charged: u64,
    /// Bytes that the text has.
    pub expected: u64,
}

/// Why a text's bytes could not be accounted for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountingError {
    /// The ids are not the encoding of the text.
    #[error(
        "token {token}: the text encodes to {}, got {}\n\
         hint: the ids come from another text or another tokenizer",
        id_or_end(*.expected), id_or_end(*.got)
    )]
    OtherIds {
        /// First position that differs.
        token: usize,
        /// Id of the text's encoding there, `None` past its end.
        expected: Option<u32>,
        /// Id that was given, `None` past the end.
        got: Option<u32>,
    },
    /// Charged and normalized bytes differ.
    #[error(
        "token {} (`{}`, id {}) stands for `{}` at byte {} of the text: expected {} bytes, charged {}; \
         in all {} of {} bytes are charged\n\
         hint: this tokenizer loses or invents bytes on this text; a result must be marked as lossy",
        .first.token, .first.piece, .first.id, .first.text, .first.raw_offset, .first.expected,
        .first.charged, .accounting.charged_bytes, .accounting.normalized_bytes
    )]
    Lossy {
        /// The counts of the whole text, for a result that is marked as lossy.
        accounting: Accounting,
        /// Where they part.
        first: Box<FirstLoss>,
    },
}

fn id_or_end(id: Option<u32>) -> String {
    id.map_or_else(|| "the end".to_owned(), |id| format!("id {id}"))
}

impl Tokenizer {
    /// Accounts for `text`, whose ids (no BOS) are `ids`.
    ///
    /// # Errors
    /// [`AccountingError::OtherIds`] if `ids` is not the encoding of `text`, [`AccountingError::Lossy`] if
    /// any token is charged other bytes than its text has.
    pub fn account(&self, text: &str, ids: &[u32]) -> Result<Accounting, AccountingError> {
        let encoding = self.encode_with_spans(text);
        let length = encoding.ids.len().max(ids.len());
        if let Some(token) = (0..length).find(|token| encoding.ids.get(*token) != ids.get(*token)) {
            return Err(AccountingError::OtherIds {
                token,
                expected: encoding.ids.get(token).copied(),
                got: ids.get(token).copied(),
            });
        }
        self.account_encoding(text, &encoding)
    }

    /// [`Tokenizer::account`] for an encoding of `text` that this tokenizer has just made.
    ///
    /// # Errors
    /// [`AccountingError::Lossy`].
    pub fn account_encoding(&self, text: &str, encoding: &Encoding) -> Result<Accounting, AccountingError> {
        let counted = self.counted_bytes(&encoding.normalized);
        let mut charged_bytes = 0;
        let mut normalized_bytes = 0;
        let mut first = None;
        let mut previous = None;
        for (token, id) in encoding.ids.iter().enumerate() {
            let charged = u64::from(self.byte_table().target_bytes(previous, *id));
            let expected = self.bytes_of_span(encoding, token, &counted);
            if charged != expected && first.is_none() {
                first = Some((token, charged, expected));
            }
            charged_bytes += charged;
            normalized_bytes += expected;
            previous = Some(*id);
        }
        let accounting = Accounting { charged_bytes, normalized_bytes, raw_bytes: text.len() as u64 };
        match first {
            None => Ok(accounting),
            Some((token, charged, expected)) => {
                let first = Box::new(self.loss(text, encoding, token, charged, expected));
                Err(AccountingError::Lossy { accounting, first })
            }
        }
    }

    /// Bytes of the raw text that the first `tokens` ids of its encoding stand for: up to where the next one starts,
    /// all of it when there is none. Whitespace that normalization drops belongs to the token before it.
    pub fn raw_prefix_bytes(&self, text: &str, encoding: &Encoding, tokens: usize) -> usize {
        if tokens >= encoding.ids.len() {
            return text.len();
        }
        let mut origins = Vec::new();
        self.normalizer.normalize(text, &self.user_symbols, Some(&mut origins));
        origins.get(encoding.span(tokens).start).copied().unwrap_or(text.len())
    }

    /// The stretch of normalized text that is text: no dummy space, no escaped space at the start.
    fn counted_bytes(&self, normalized: &str) -> Range<usize> {
        let settings = self.normalizer.settings;
        let space = settings.space();
        let dummy_suffix = settings.add_dummy_prefix && settings.whitespace_as_suffix;
        let dummy_prefix = settings.add_dummy_prefix && !settings.whitespace_as_suffix;
        let free_start = (dummy_prefix || settings.escape_whitespaces) && normalized.starts_with(space);
        let start = if free_start { space.len_utf8() } else { 0 };
        let free_end = dummy_suffix && normalized.len() > start && normalized.ends_with(space);
        let end = normalized.len() - if free_end { space.len_utf8() } else { 0 };
        start..end
    }

    /// Bytes of text in the span of one token; of an escaped space only the first counts.
    fn bytes_of_span(&self, encoding: &Encoding, token: usize, counted: &Range<usize>) -> u64 {
        const SYMBOL: &[u8] = "\u{2581}".as_bytes();
        let text = encoding.normalized.as_bytes();
        let escaped = self.normalizer.settings.escape_whitespaces;
        let in_symbol = |at: usize, back: usize| {
            at.checked_sub(back).is_some_and(|start| text[start..].starts_with(SYMBOL))
        };
        let counts =
            |at: &usize| counted.contains(at) && !(escaped && (in_symbol(*at, 1) || in_symbol(*at, 2)));
        encoding.span(token).filter(counts).count() as u64
    }

    fn loss(&self, text: &str, encoding: &Encoding, token: usize, charged: u64, expected: u64) -> FirstLoss {
        const SHOWN_BYTES: usize = 48;
        let span = encoding.span(token);
        let mut origins = Vec::new();
        self.normalizer.normalize(text, &self.user_symbols, Some(&mut origins));
        let shown = span.start..span.end.min(span.start + SHOWN_BYTES);
        let id = encoding.ids[token];
        FirstLoss {
            token,
            id,
            piece: self.pieces[id as usize].text.to_string(),
            text: String::from_utf8_lossy(&encoding.normalized.as_bytes()[shown]).into_owned(),
            raw_offset: origins.get(span.start).copied().unwrap_or(text.len()),
            charged,
            expected,
        }
    }
}
