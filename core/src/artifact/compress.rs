//! Which codec, and for symbols which order, a section gets: the writer's choice, of which a reader knows nothing.
//!
//! Symbols go to the mixer, which wins on everything that looks like weights and takes a second where the byte codecs take
//! a minute. Those are tried only where a fast pass suggests that they could win: on repetitions, which the mixer does not
//! see, and on streams too small for a model. Everything else gets the smallest result of all byte codecs.

use crate::codec::{self, Codec, Symbols};

use super::layout::Kind;
use super::streams;

/// A section before compression.
pub(super) struct Raw {
    pub kind: Kind,
    /// Bits per symbol, or 0.
    pub detail: u8,
    /// Rows and columns of the tensors of a symbols section.
    pub matrices: Vec<(usize, usize)>,
    /// Raw bytes; symbols row by row.
    pub bytes: Vec<u8>,
}

/// A section as the file holds it.
pub(super) struct Compressed {
    /// Whether symbols run column by column.
    pub columns: bool,
    pub codec: Codec,
    pub bytes: Vec<u8>,
}

/// The smallest form of a section, found in reasonable time.
pub(super) fn compress(raw: &Raw) -> Compressed {
    if raw.kind != Kind::Symbols {
        let (codec, bytes) = codec::encode_best(&raw.bytes);
        return Compressed { columns: false, codec, bytes };
    }
    let symbols = Symbols { bits: raw.detail.into(), matrices: &raw.matrices, bytes: &raw.bytes };
    let mixed = Compressed { columns: false, codec: Codec::Mixer, bytes: codec::encode_symbols(symbols) };
    if !codec::may_beat(&raw.bytes, mixed.bytes.len()) {
        return mixed;
    }
    let by_columns = by_columns(raw);
    let columns = streams::local_entropy(&by_columns) < streams::local_entropy(&raw.bytes);
    let (codec, bytes) = codec::encode_best(if columns { &by_columns } else { &raw.bytes });
    if bytes.len() <= mixed.bytes.len() { Compressed { columns, codec, bytes } } else { mixed }
}

/// The symbols of a section column by column within each tensor.
fn by_columns(raw: &Raw) -> Vec<u8> {
    let (mut left, mut symbols) = (&raw.bytes[..], Vec::with_capacity(raw.bytes.len()));
    for &(rows, cols) in &raw.matrices {
        let (matrix, rest) = left.split_at(rows * cols);
        symbols.extend(streams::transpose(matrix, rows, cols));
        left = rest;
    }
    symbols
}
