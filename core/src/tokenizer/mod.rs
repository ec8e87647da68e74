//! Text to token ids and back, and the byte table that bits per byte rest on.
//!
//! A [`Tokenizer`] is a byte-pair vocabulary plus a text normalizer. It comes from a SentencePiece `.model`
//! file ([`Tokenizer::from_sentencepiece`]), from its own compact form inside an artifact
//! ([`Tokenizer::from_compact`]) or from the trainer ([`train_bpe`]), and behaves the same whichever it was.
//!
//! Invariants: ids are `0..len()`; the pieces are distinct; exactly one piece is the unknown piece; with
//! byte fallback all 256 byte pieces exist, so every text can be encoded; [`Tokenizer::encode`] and
//! [`Tokenizer::decode`] give what the reference implementation of SentencePiece gives for the same model;
//! tokenizers with equal [`Tokenizer::identity`] encode, decode and count alike.
//!
//! Not here: unigram, word and character models (refused with a typed error), sampling, and shards.

mod accounting;
mod bytes;
mod charsmap;
mod compact;
mod compact_rules;
mod decode;
mod detokenizer;
mod encode;
mod error;
mod identity;
mod normalizer;
mod sentencepiece;
mod train;
mod trie;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use accounting::{Accounting, AccountingError, FirstLoss};
pub use bytes::ByteTable;
pub use detokenizer::Detokenizer;
pub use encode::Encoding;
pub use error::{CharsmapError, CompactError, DecodeError, TokenizerError, TrainError};
pub use normalizer::NormalizerSettings;
pub use train::train_bpe;

use normalizer::Normalizer;
use trie::PrefixTrie;

/// The character that SentencePiece writes for a space, U+2581.
pub const SPACE_SYMBOL: char = '\u{2581}';

/// Largest `.model` file or compact form that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 16 << 20;
/// Largest vocabulary.
pub const MAX_PIECES: usize = 1 << 20;
/// Longest piece, in UTF-8 bytes.
pub const MAX_PIECE_BYTES: usize = 1024;

/// What a piece stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PieceKind {
    /// Text found by merging.
    Normal = 1,
    /// The one piece for text that the vocabulary lacks.
    Unknown = 2,
    /// A marker such as BOS; never produced from text.
    Control = 3,
    /// Text that is always kept whole, before any merging.
    UserDefined = 4,
    /// A piece that merging passes through but that is split again on output; never produced from text.
    Unused = 5,
    /// One raw byte, written `<0xNN>`.
    Byte = 6,
}

impl PieceKind {
    fn from_code(code: i32) -> Option<PieceKind> {
        [
            PieceKind::Normal,
            PieceKind::Unknown,
            PieceKind::Control,
            PieceKind::UserDefined,
            PieceKind::Unused,
            PieceKind::Byte,
        ]
        .into_iter()
        .find(|kind| *kind as i32 == code)
    }

    /// Whether merging two symbols may yield this piece.
    fn is_merged(self) -> bool {
        matches!(self, PieceKind::Normal | PieceKind::Unused)
    }
}

/// One entry of the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text, spaces written as the tokenizer writes them (U+2581 in SentencePiece models).
    pub text: Box<str>,
    /// What it stands for.
    pub kind: PieceKind,
    /// Merge priority, smaller first, dense from 0; equal ranks go to the leftmost pair. 0 for the kinds
    /// that merging never yields.
    pub rank: u32,
}

/// Ids of the markers that a vocabulary names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Markers {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub pad: Option<u32>,
}

/// Everything that determines a tokenizer, not yet validated.
pub(crate) struct Parts {
    pub pieces: Vec<Piece>,
    pub normalizer: Normalizer,
    pub byte_fallback: bool,
    pub markers: Markers,
    pub unk_surface: String,
}

/// A byte-pair tokenizer with its normalizer and byte table.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pieces: Vec<Piece>,
    normalizer: Normalizer,
    markers: Markers,
    unk: u32,
    unk_surface: Box<str>,
    /// Ids of the byte pieces; `None` without byte fallback.
    byte_ids: Option<Box<[u32; 256]>>,
    /// Pieces that text can become: normal, user-defined, unused.
    index: HashMap<Box<str>, u32>,
    user_symbols: PrefixTrie,
    byte_table: ByteTable,
    longest_piece: usize,
    /// No merge can cross from a non-space to a space, so text may be encoded word by word.
    splits_before_spaces: bool,
}

impl Tokenizer {
    /// Checks the parts and builds the look-up structures.
    pub(crate) fn assemble(parts: Parts) -> Result<Tokenizer, TokenizerError> {
        let Parts { pieces, normalizer, byte_fallback, markers, unk_surface } = parts;
        if pieces.is_empty() || pieces.len() > MAX_PIECES {
            return Err(TokenizerError::PieceCount { got: pieces.len() });
        }
        check_texts(&pieces)?;
        let unk = only_unknown(&pieces)?;
        for id in [markers.bos, markers.eos, markers.pad].into_iter().flatten() {
            if pieces.get(id as usize).is_none_or(|piece| piece.kind != PieceKind::Control) {
                return Err(TokenizerError::Marker { id });
            }
        }
        let byte_ids = byte_ids(&pieces, byte_fallback)?;
        let mut index = HashMap::new();
        let mut symbols = Vec::new();
        for (id, piece) in (0u32..).zip(&pieces) {
            match piece.kind {
                PieceKind::Normal | PieceKind::Unused => {}
                PieceKind::UserDefined => symbols.push((piece.text.as_bytes(), id)),
                PieceKind::Unknown | PieceKind::Control | PieceKind::Byte => continue,
            }
            index.insert(piece.text.clone(), id);
        }
        symbols.sort_unstable();
        let user_symbols = PrefixTrie::build(&symbols);
        let has_unused = pieces.iter().any(|piece| piece.kind == PieceKind::Unused);
        let space = normalizer.settings.space();
        let crosses = index.keys().any(|text| crosses_into_space(text, space));
        Ok(Tokenizer {
            byte_table: ByteTable::new(&pieces),
            longest_piece: index.keys().map(|text| text.len()).max().unwrap_or(0),
            splits_before_spaces: !has_unused && !crosses,
            pieces,
            normalizer,
            markers,
            unk,
            unk_surface: unk_surface.into(),
            byte_ids,
            index,
            user_symbols,
        })
    }

    /// Number of pieces.
    #[allow(clippy::len_without_is_empty)] // the unknown piece always exists
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The piece with this id.
    pub fn piece(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(id as usize)
    }

    /// All pieces in id order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Id of the marker that opens a document, if the vocabulary has one.
    pub fn bos(&self) -> Option<u32> {
        self.markers.bos
    }

    /// Id of the marker that closes a document, if the vocabulary has one.
    pub fn eos(&self) -> Option<u32> {
        self.markers.eos
    }

    /// Id of the padding marker, if the vocabulary has one.
    pub fn pad(&self) -> Option<u32> {
        self.markers.pad
    }

    /// Id of the unknown piece.
    pub fn unk(&self) -> u32 {
        self.unk
    }

    /// Whether text that the vocabulary lacks becomes byte pieces instead of the unknown piece.
    pub fn byte_fallback(&self) -> bool {
        self.byte_ids.is_some()
    }

    /// How text is prepared before it is cut into pieces.
    pub fn normalizer_settings(&self) -> NormalizerSettings {
        self.normalizer.settings
    }

    /// Bytes per token; ids from `len()` on are padding rows of the model and carry no bytes.
    pub fn byte_table(&self) -> &ByteTable {
        &self.byte_table
    }

    /// The text that is cut into pieces: rules applied, spaces written as U+2581 where the model does so,
    /// the dummy prefix included.
    pub fn normalize(&self, text: &str) -> String {
        self.normalizer.normalize(text, &self.user_symbols, None)
    }
}

fn check_texts(pieces: &[Piece]) -> Result<(), TokenizerError> {
    let mut seen = HashMap::with_capacity(pieces.len());
    for (id, piece) in (0u32..).zip(pieces) {
        let bytes = piece.text.len();
        if bytes == 0 || bytes > MAX_PIECE_BYTES {
            return Err(TokenizerError::PieceLength { id, bytes });
        }
        if piece.text.contains('\0') {
            return Err(TokenizerError::NulInPiece { id });
        }
        if let Some(first) = seen.insert(&*piece.text, id) {
            return Err(TokenizerError::DuplicatePiece { first, second: id, piece: piece.text.to_string() });
        }
    }
    Ok(())
}

fn only_unknown(pieces: &[Piece]) -> Result<u32, TokenizerError> {
    let mut unknown = (0u32..).zip(pieces).filter(|(_, piece)| piece.kind == PieceKind::Unknown);
    let (first, _) = unknown.next().ok_or(TokenizerError::NoUnknownPiece)?;
    match unknown.next() {
        Some((second, _)) => Err(TokenizerError::TwoUnknownPieces { first, second }),
        None => Ok(first),
    }
}

fn byte_ids(pieces: &[Piece], byte_fallback: bool) -> Result<Option<Box<[u32; 256]>>, TokenizerError> {
    let mut ids = Box::new([u32::MAX; 256]);
    for (id, piece) in (0u32..).zip(pieces).filter(|(_, piece)| piece.kind == PieceKind::Byte) {
        let byte = byte_of_piece(&piece.text)
            .ok_or_else(|| TokenizerError::BytePiece { id, piece: piece.text.to_string() })?;
        if !byte_fallback {
            return Err(TokenizerError::BytesWithoutFallback { id });
        }
        ids[usize::from(byte)] = id;
    }
    if !byte_fallback {
        return Ok(None);
    }
    match ids.iter().position(|id| *id == u32::MAX) {
        Some(byte) => Err(TokenizerError::MissingByte { byte }),
        None => Ok(Some(ids)),
    }
}

/// The byte that a piece of kind [`PieceKind::Byte`] stands for; its text is `<0xNN>` in upper-case hex.
fn byte_of_piece(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(hex, 16).ok()?;
    (piece_of_byte(byte) == text).then_some(byte)
}

fn piece_of_byte(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

fn crosses_into_space(text: &str, space: char) -> bool {
    text.chars().zip(text.chars().skip(1)).any(|(a, b)| a != space && b == space)
}
