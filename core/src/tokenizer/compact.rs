//! The tokenizer inside an artifact: complete, canonical and small.
//!
//! Layout, numbers as minimal LEB128 varints unless a width is given:
//!
//! | field | content |
//! |---|---|
//! | version | u8, 1 |
//! | flags | u8: bit 0 dummy prefix, 1 remove extra whitespace, 2 escape whitespace, 3 whitespace as suffix, 4 byte fallback, 5 ranks follow |
//! | unknown surface | length, UTF-8 |
//! | markers | BOS, EOS, padding: id + 1, or 0 for none |
//! | pieces | count |
//! | kinds | runs (kind, length) until all pieces have one |
//! | lengths | bytes of each piece that is not a byte piece |
//! | texts | the pieces one after another; a byte piece is its byte |
//! | ranks | of each mergeable piece in id order, if flag bit 5 is set; else they count up from 0 |
//! | rules | see `compact_rules` |
//!
//! Nothing is compressed here: the artifact's codecs do that. Invariant: one tokenizer has one compact form;
//! reading checks it by writing again. Reading allocates no more than a small multiple of its input, except
//! for rules, which have their own limits.

use super::compact_rules::{read_rules, write_rules};
use super::normalizer::{Normalizer, NormalizerSettings, RuleMap};
use super::{
    CompactError, MAX_FILE_BYTES, MAX_PIECE_BYTES, MAX_PIECES, Markers, Parts, Piece, PieceKind, Tokenizer,
    byte_of_piece, piece_of_byte,
};

const VERSION: u8 = 1;
const FLAGS: u64 = 0x3f;
const RANKS_FOLLOW: usize = 5;

impl Tokenizer {
    /// The one compact form of this tokenizer.
    pub fn to_compact(&self) -> Vec<u8> {
        let mut writer = Writer(vec![VERSION]);
        let settings = self.normalizer.settings;
        let merged = || self.pieces.iter().filter(|piece| piece.kind.is_merged());
        let ranks_follow = !merged().zip(0u32..).all(|(piece, rank)| piece.rank == rank);
        let flags = [
            settings.add_dummy_prefix,
            settings.remove_extra_whitespaces,
            settings.escape_whitespaces,
            settings.whitespace_as_suffix,
            self.byte_fallback(),
            ranks_follow,
        ];
        writer.0.push(flags.iter().zip(0..).map(|(flag, bit)| u8::from(*flag) << bit).sum());
        writer.text(&self.unk_surface);
        for marker in [self.markers.bos, self.markers.eos, self.markers.pad] {
            writer.number(marker.map_or(0, |id| u64::from(id) + 1));
        }
        writer.number(self.pieces.len() as u64);
        for run in self.pieces.chunk_by(|a, b| a.kind == b.kind) {
            writer.0.push(run[0].kind as u8);
            writer.number(run.len() as u64);
        }
        for piece in self.pieces.iter().filter(|piece| piece.kind != PieceKind::Byte) {
            writer.number(piece.text.len() as u64);
        }
        for piece in &self.pieces {
            match byte_of_piece(&piece.text) {
                Some(byte) if piece.kind == PieceKind::Byte => writer.0.push(byte),
                _ => writer.0.extend_from_slice(piece.text.as_bytes()),
            }
        }
        if ranks_follow {
            merged().for_each(|piece| writer.number(u64::from(piece.rank)));
        }
        write_rules(&mut writer, &self.normalizer.rules.rules());
        writer.0
    }

    /// Reads a compact form.
    ///
    /// # Errors
    /// Anything that [`Tokenizer::to_compact`] would not have written.
    pub fn from_compact(data: &[u8]) -> Result<Tokenizer, CompactError> {
        if data.len() > MAX_FILE_BYTES {
            return Err(CompactError::TooLarge { got: data.len() });
        }
        let mut reader = Reader { data, at: 0 };
        let version = reader.bytes("version", 1)?[0];
        if version != VERSION {
            return Err(CompactError::Version { expected: VERSION, got: version });
        }
        let flags = reader.number("flags", FLAGS)?;
        let flag = |bit: usize| flags & (1 << bit) != 0;
        let unk_surface = reader.text("unknown surface", MAX_PIECE_BYTES)?.to_owned();
        let mut marker =
            |field| Ok::<_, CompactError>(reader.number(field, MAX_PIECES as u64)?.checked_sub(1));
        let [bos, eos, pad] =
            [marker("bos")?, marker("eos")?, marker("pad")?].map(|id| id.map(|id| id as u32));
        let pieces = read_pieces(&mut reader, flag(RANKS_FOLLOW))?;
        let rules = read_rules(&mut reader)?;
        let settings = NormalizerSettings {
            add_dummy_prefix: flag(0),
            remove_extra_whitespaces: flag(1),
            escape_whitespaces: flag(2),
            whitespace_as_suffix: flag(3),
        };
        let tokenizer = Tokenizer::assemble(Parts {
            pieces,
            normalizer: Normalizer { settings, rules: RuleMap::new(rules) },
            byte_fallback: flag(4),
            markers: Markers { bos, eos, pad },
            unk_surface,
        })?;
        check_canonical(data, &tokenizer.to_compact())?;
        Ok(tokenizer)
    }
}

fn check_canonical(data: &[u8], canonical: &[u8]) -> Result<(), CompactError> {
    if data == canonical {
        return Ok(());
    }
    let same = data.iter().zip(canonical).take_while(|(a, b)| a == b).count();
    Err(CompactError::NotCanonical { offset: same })
}

fn read_pieces(reader: &mut Reader, ranks_follow: bool) -> Result<Vec<Piece>, CompactError> {
    let count = reader.number("piece count", MAX_PIECES as u64)? as usize;
    let mut kinds = Vec::new();
    while kinds.len() < count {
        let offset = reader.at;
        let code = reader.bytes("kind", 1)?[0];
        let kind = PieceKind::from_code(code.into()).ok_or(CompactError::OutOfRange {
            field: "kind",
            offset,
            limit: PieceKind::Byte as u64,
            got: code.into(),
        })?;
        let run = reader.number("kind run", (count - kinds.len()) as u64)? as usize;
        // Every piece has at least one byte of text still to come.
        if run > reader.data.len() - reader.at {
            return Err(CompactError::Truncated { field: "pieces", offset });
        }
        kinds.resize(kinds.len() + run, kind);
    }
    let mut lengths = Vec::with_capacity(count);
    for kind in &kinds {
        lengths.push(match kind {
            PieceKind::Byte => 1,
            _ => reader.number("piece length", MAX_PIECE_BYTES as u64)? as usize,
        });
    }
    let mut pieces = Vec::with_capacity(count);
    for (kind, length) in kinds.into_iter().zip(lengths) {
        let text = match kind {
            PieceKind::Byte => piece_of_byte(reader.bytes("byte piece", 1)?[0]).into(),
            _ => reader.utf8("piece", length)?.into(),
        };
        pieces.push(Piece { text, kind, rank: 0 });
    }
    for (ordinal, piece) in (0u32..).zip(pieces.iter_mut().filter(|piece| piece.kind.is_merged())) {
        piece.rank = if ranks_follow { reader.number("rank", MAX_PIECES as u64)? as u32 } else { ordinal };
    }
    Ok(pieces)
}

/// Appends fields.
pub(crate) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Takes fields off the front, each with a limit.
pub(crate) struct Reader<'a> {
    pub data: &'a [u8],
    pub at: usize,
}

impl<'a> Reader<'a> {
    pub fn number(&mut self, field: &'static str, limit: u64) -> Result<u64, CompactError> {
        let offset = self.at;
        let mut value = 0u64;
        // Four bytes hold every number of the format; a longer one is out of range or not minimal.
        for shift in [0, 7, 14, 21] {
            let byte = *self.data.get(self.at).ok_or(CompactError::Truncated { field, offset })?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if value <= limit {
                    Ok(value)
                } else {
                    Err(CompactError::OutOfRange { field, offset, limit, got: value })
                };
            }
        }
        Err(CompactError::OutOfRange { field, offset, limit, got: value })
    }

    pub fn bytes(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], CompactError> {
        let offset = self.at;
        let taken = self.data[offset..].get(..count).ok_or(CompactError::Truncated { field, offset })?;
        self.at += count;
        Ok(taken)
    }

    pub fn utf8(&mut self, field: &'static str, count: usize) -> Result<&'a str, CompactError> {
        let offset = self.at;
        std::str::from_utf8(self.bytes(field, count)?).map_err(|_| CompactError::NotUtf8 { field, offset })
    }

    pub fn text(&mut self, field: &'static str, limit: usize) -> Result<&'a str, CompactError> {
        let count = self.number(field, limit as u64)? as usize;
        self.utf8(field, count)
    }
}
