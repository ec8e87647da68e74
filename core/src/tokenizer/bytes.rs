//! The table of bytes that each token is charged with: the denominator of bits per byte.
//!
//! The rule of the challenge's evaluator (openai/parameter-golf): control, unknown and unused pieces carry
//! no bytes and count as a boundary; a byte piece is one byte; any other piece is its UTF-8 length without a
//! leading U+2581, whose space is charged, as one byte, unless the token before is a boundary. A U+2581
//! further inside a piece is one byte too, since it stands for one space; no vocabulary of the field has
//! such pieces. Not a measure of a text: see the accounting check for that.

use super::{Piece, PieceKind, SPACE_SYMBOL};

/// Bytes, leading-space flag and boundary flag of every token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteTable {
    /// UTF-8 bytes of the token, a leading space not counted. Shape `[vocab]`.
    pub bytes: Vec<u32>,
    /// Whether the token starts with a space. Shape `[vocab]`.
    pub leading_space: Vec<bool>,
    /// Whether a space that follows this token is free. Shape `[vocab]`.
    pub boundary: Vec<bool>,
}

impl ByteTable {
    pub(crate) fn new(pieces: &[Piece]) -> ByteTable {
        let mut table = ByteTable { bytes: Vec::new(), leading_space: Vec::new(), boundary: Vec::new() };
        for piece in pieces {
            let text = &*piece.text;
            let (bytes, leading, boundary) = match piece.kind {
                PieceKind::Control | PieceKind::Unknown | PieceKind::Unused => (0, false, true),
                PieceKind::Byte => (1, false, false),
                PieceKind::Normal | PieceKind::UserDefined => match text.strip_prefix(SPACE_SYMBOL) {
                    Some(rest) => (text_bytes(rest), true, false),
                    None => (text_bytes(text), false, false),
                },
            };
            table.bytes.push(bytes);
            table.leading_space.push(leading);
            table.boundary.push(boundary);
        }
        table
    }

    /// Bytes charged to `target` when `previous` is the token before it, `None` at the start of a stream.
    /// Ids past the vocabulary are padding rows: no bytes, and a boundary.
    pub fn target_bytes(&self, previous: Option<u32>, target: u32) -> u32 {
        let target = target as usize;
        let bytes = self.bytes.get(target).copied().unwrap_or(0);
        let leading = self.leading_space.get(target).copied().unwrap_or(false);
        let boundary =
            previous.is_none_or(|previous| self.boundary.get(previous as usize).copied().unwrap_or(true));
        bytes + u32::from(leading && !boundary)
    }

    /// The table for a model with `vocab` rows: longer than the vocabulary if the model has padding rows,
    /// never shorter.
    pub fn padded(&self, vocab: usize) -> ByteTable {
        let rows = vocab.max(self.bytes.len());
        let mut table = self.clone();
        table.bytes.resize(rows, 0);
        table.leading_space.resize(rows, false);
        table.boundary.resize(rows, true);
        table
    }
}

/// UTF-8 length with each U+2581 counted as the one space that it stands for. A piece is at most
/// `MAX_PIECE_BYTES` long, so this fits.
fn text_bytes(text: &str) -> u32 {
    text.chars().map(|c| if c == SPACE_SYMBOL { 1 } else { c.len_utf8() as u32 }).sum()
}
