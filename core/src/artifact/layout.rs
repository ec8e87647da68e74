//! The bytes of an artifact file, version 1.1: the one place that states them.
//!
//! All integers are little-endian and unsigned. Nothing is aligned, nothing is padded: a file is its header, its
//! section table, the sections' stored bytes back to back in table order, and a digest.
//!
//! ```text
//! offset  size  header
//!      0     8  magic: 89 47 4C 46 0D 0A 1A 0A
//!      8     2  major version: 1; a reader refuses any other
//!     10     2  minor version: 1; a reader accepts any (1 brought codec 4)
//!     12     1  byte order: 1, little-endian
//!     13     1  revision of the encoders that compressed the sections, 0 for none; any value, for information
//!     14     2  number of sections, S
//!     16     8  length of the file
//!     24     4  required features: none is defined, all bits are 0
//!     28     4  CRC-32 of the header and the section table with these four bytes taken as zero
//!     32    32  content digest (below)
//!     64   16S  section table
//!              stored bytes of section 0, 1, ... S-1
//!    end-32 32  SHA-256 of everything before it
//!
//! offset  size  entry of the section table
//!      0     1  kind
//!      1     1  codec of the stored bytes: 0 store, 1 zstd, 2 lzma, 3 brotli, 4 mixer (see `golf_core::codec`)
//!      2     1  detail: bits per symbol for kind 16, otherwise 0
//!      3     1  flags: bit 0 required, bit 1 column order (kind 16 only), others 0
//!      4     4  raw bytes, after decompression
//!      8     4  stored bytes
//!     12     4  CRC-32 of the stored bytes
//! ```
//!
//! Both CRCs are CRC-32/ISO-HDLC (zlib's). Kinds ascend along the table; only kind 16 may repeat.
//!
//! | kind | name | required | raw bytes |
//! |---|---|---|---|
//! | 1 | config | yes | the model's configuration: compact JSON, every field in declared order |
//! | 2 | tensors | yes | the tensor table (below) |
//! | 3 | tokenizer | no | compact tokenizer, opaque here |
//! | 4 | tokenizer identity | no | 32 bytes: SHA-256 that names the tokenizer |
//! | 5 | provenance | no | compact JSON, fields in declared order, absent ones left out |
//! | 16 | symbols | yes | quantized integers, one byte each |
//! | 17 | scales | yes | fp16 scales |
//! | 18 | halves | yes | fp16 values |
//! | 19 | singles | yes | fp32 values |
//!
//! Sections 1 and 2 are always there, the others only if they are not empty. The required flag of a known kind is
//! as in the table; a reader skips an unknown kind without the flag and refuses one with it.
//!
//! **Tensor table.** Columns, for n tensors in ascending byte order of their names, no two alike:
//!
//! ```text
//! 4           n
//! n           length of each name, 1 to 255
//! sum of them names, UTF-8 without control characters
//! n           type of each tensor: 4, 5, 6, 8 quantized to so many bits; 16 fp16; 32 fp32
//! n           rank of each tensor, 0 to 4; 2 for quantized ones
//! 4 a dim     all dimensions of all tensors, outermost first, none of them 0
//! 2 a tensor  of each quantized tensor: which symbols section holds it, counted from 0
//! ```
//!
//! **Streams.** Each holds its tensors one after another in table order and nothing else. Integer `q` of a
//! `b`-bit tensor is the byte `q + 2^(b-1)`, below `2^b`; a tensor's integers follow row by row, or column by column
//! if the section's flag says so. Scales, halves and singles are split into byte planes: the lowest bytes of all the
//! section's values, then their next bytes, and so on. A quantized tensor `[rows, cols]` has `rows` scales, finite
//! and without sign; a weight is `q · scale` rounded to f32. Halves and singles are finite.
//!
//! **Content digest.** SHA-256 over what the file says, whatever sections and codecs carry it: the 8 bytes
//! `golf-1.0`; config, tokenizer, tokenizer identity and provenance, each as a byte 0 if absent, else a byte 1, the
//! length in 8 bytes, the raw bytes; the number of tensors in 8 bytes; then each tensor: the length of its name in 8
//! bytes, the name, type and rank in a byte each, dimensions in 8 bytes each, and its data, which are integers
//! row by row in one byte each as above and then scales in 2 bytes each, or values in 2 or 4 bytes each.
//!
//! **Canonical bytes.** A writer gives one artifact one encoding per encoder revision: symbols sections gather the
//! tensors of one bit width whose names agree once the components made of digits are dropped (one role over all
//! layers), sorted by that name and width. A symbols section runs by rows under codec 4 unless it has 4,096 symbols or
//! fewer, or Zstandard's level 3 (long matches, window 64 MiB) comes as low: then it is also tried under the codecs 0 to 3, by
//! columns if and only if the order-0 entropies of blocks of 1,024 symbols add up to less than for rows. Of the results
//! tried, and for any other section of those of the codecs 0 to 3, the smallest is kept, the lowest id among equals.
//! No time stamps, no host names. A reader accepts any grouping, order and codec, but refuses JSON that is not what
//! this writer would print.
//!
//! This module is tables and field order only. Trust and limits are the reader's.

use super::error::ArtifactError;

/// First bytes of every artifact. The first is not ASCII and the line ends are both kinds, so that a transfer that
/// mistakes the file for text shows at once.
pub const MAGIC: [u8; 8] = [0x89, b'G', b'L', b'F', 0x0d, 0x0a, 0x1a, 0x0a];
/// The major version that this code reads and writes.
pub const MAJOR: u16 = 1;
/// The minor version that this code writes.
pub const MINOR: u16 = 1;
/// Mark of the only byte order.
pub const LITTLE_ENDIAN: u8 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of an entry of the section table.
pub const ENTRY_BYTES: usize = 16;
/// Bytes of the digest at the end.
pub const DIGEST_BYTES: usize = 32;
/// Where the header's own CRC lies.
pub const HEADER_CRC: std::ops::Range<usize> = 28..32;

/// Flag of a section that a reader must understand.
pub const FLAG_REQUIRED: u8 = 1;
/// Flag of a symbols section that runs column by column.
pub const FLAG_COLUMNS: u8 = 2;

/// Kinds of section; the discriminant is the kind on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Model configuration.
    Config = 1,
    /// Tensor table.
    Tensors = 2,
    /// Tokenizer.
    Tokenizer = 3,
    /// Identity of the tokenizer.
    TokenizerIdentity = 4,
    /// Provenance.
    Provenance = 5,
    /// Quantized integers.
    Symbols = 16,
    /// Scales of quantized rows.
    Scales = 17,
    /// fp16 values.
    Halves = 18,
    /// fp32 values.
    Singles = 19,
}

/// Every kind, its name and whether a reader must understand it.
pub const KINDS: [(Kind, &str, bool); 9] = [
    (Kind::Config, "config", true),
    (Kind::Tensors, "tensors", true),
    (Kind::Tokenizer, "tokenizer", false),
    (Kind::TokenizerIdentity, "tokenizer identity", false),
    (Kind::Provenance, "provenance", false),
    (Kind::Symbols, "symbols", true),
    (Kind::Scales, "scales", true),
    (Kind::Halves, "halves", true),
    (Kind::Singles, "singles", true),
];

impl Kind {
    /// The kind with this number, `None` for one of a later version.
    pub fn from_id(id: u8) -> Option<Kind> {
        KINDS.iter().map(|row| row.0).find(|kind| *kind as u8 == id)
    }

    /// Name as tables and messages print it.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether a reader must understand this kind.
    pub fn required(self) -> bool {
        self.row().2
    }

    fn row(self) -> (Kind, &'static str, bool) {
        *KINDS.iter().find(|row| row.0 == self).expect("the table lists every kind")
    }
}

/// An entry of the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Kind, perhaps unknown.
    pub kind: u8,
    /// Codec id, perhaps unknown.
    pub codec: u8,
    /// Bits per symbol, or 0.
    pub detail: u8,
    /// Flags.
    pub flags: u8,
    /// Bytes after decompression.
    pub raw: u32,
    /// Bytes in the file.
    pub stored: u32,
    /// CRC-32 of the stored bytes.
    pub crc: u32,
}

impl Entry {
    /// The entry as it lies on disk.
    pub fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..4].copy_from_slice(&[self.kind, self.codec, self.detail, self.flags]);
        bytes[4..8].copy_from_slice(&self.raw.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.stored.to_le_bytes());
        bytes[12..].copy_from_slice(&self.crc.to_le_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; every value is accepted here.
    pub fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Entry {
        let [kind, codec, detail, flags, r0, r1, r2, r3, s0, s1, s2, s3, c0, c1, c2, c3] = *bytes;
        Entry {
            kind,
            codec,
            detail,
            flags,
            raw: u32::from_le_bytes([r0, r1, r2, r3]),
            stored: u32::from_le_bytes([s0, s1, s2, s3]),
            crc: u32::from_le_bytes([c0, c1, c2, c3]),
        }
    }
}

/// Takes fields off the front of a byte string; the error says which part of the file ended early.
pub(super) struct Fields<'a> {
    left: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    /// Fields of the part of the file called `what`.
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { left: bytes, what }
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ArtifactError> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(ArtifactError::EndsEarly {
            what: self.what,
            needed: count as u64,
            left: self.left.len() as u64,
        })?;
        self.left = left;
        Ok(taken)
    }

    /// The next `N` bytes by value.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ArtifactError> {
        Ok(self.bytes(N)?.try_into().expect("`bytes` returns as many as asked"))
    }

    /// Succeeds when nothing is left.
    pub(super) fn end(self) -> Result<(), ArtifactError> {
        match self.left.len() {
            0 => Ok(()),
            left => Err(ArtifactError::BytesLeft { what: self.what, left: left as u64 }),
        }
    }
}
