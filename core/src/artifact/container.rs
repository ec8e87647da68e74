//! The outer half of reading: header, section table, checksums. Nothing is decompressed here.
//!
//! Invariant: a [`Container`] has consistent sizes, intact bytes, legal flags, and sections in order; the sum of
//! what its sections declare is within the limits. What the sections mean is [`super::reader`]'s.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::codec::{self, Codec};

use super::error::ArtifactError;
use super::layout::{
    DIGEST_BYTES, ENTRY_BYTES, Entry, FLAG_COLUMNS, FLAG_REQUIRED, Fields, HEADER_BYTES, HEADER_CRC, Kind,
    LITTLE_ENDIAN, MAGIC, MAJOR,
};
use super::limits::{Limits, within};

/// Header fields that matter once they have been checked.
struct Header {
    minor: u16,
    sections: usize,
    content_digest: [u8; 32],
}

/// A file whose outer structure is sound.
pub(super) struct Container<'a> {
    /// Minor version; the major one is known.
    pub minor: u16,
    /// Digest of the content, not yet compared.
    pub content_digest: [u8; 32],
    /// Sections of known kinds, in order.
    pub sections: Vec<Section<'a>>,
    /// Bytes of header, section table and digest.
    pub overhead: u64,
}

/// A section of known kind.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    /// Index in the section table.
    pub index: usize,
    /// Kind.
    pub kind: Kind,
    /// Table entry.
    pub entry: Entry,
    /// Offset of the stored bytes in the file.
    pub offset: u64,
    /// The stored bytes.
    pub stored: &'a [u8],
}

impl Section<'_> {
    /// Whether the symbols run column by column.
    pub(super) fn columns(&self) -> bool {
        self.entry.flags & FLAG_COLUMNS != 0
    }

    /// Checks that the entry declares `expected` raw bytes.
    pub(super) fn expect_raw(&self, expected: u64) -> Result<(), ArtifactError> {
        let got = u64::from(self.entry.raw);
        if got == expected {
            return Ok(());
        }
        Err(ArtifactError::SectionSize { index: self.index, kind: self.kind.name(), expected, got })
    }

    /// The raw bytes. Their number has been checked against the limits.
    pub(super) fn decompress(&self, limits: &Limits) -> Result<Vec<u8>, ArtifactError> {
        Codec::from_id(self.entry.codec)
            .and_then(|codec| codec::decode(codec, self.stored, self.entry.raw as usize, &limits.codec))
            .map_err(|source| ArtifactError::Codec {
                index: self.index,
                kind: self.kind.name(),
                offset: self.offset,
                source,
            })
    }
}

/// Reads the outer structure of a file.
pub(super) fn parse<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Container<'a>, ArtifactError> {
    let header = header(bytes, limits)?;
    let table = HEADER_BYTES..HEADER_BYTES + ENTRY_BYTES * header.sections;
    check_header_crc(&bytes[..table.end])?;
    let entries: Vec<Entry> = bytes[table.clone()]
        .chunks_exact(ENTRY_BYTES)
        .map(|chunk| Entry::from_bytes(chunk.try_into().expect("`chunks_exact` gives whole entries")))
        .collect();
    let body = table.end..bytes.len() - DIGEST_BYTES;
    let sections = sections(bytes, &entries, body, limits)?;
    let digest: [u8; 32] = Sha256::digest(&bytes[..bytes.len() - DIGEST_BYTES]).into();
    if digest != bytes[bytes.len() - DIGEST_BYTES..] {
        return Err(ArtifactError::FileDigest);
    }
    let overhead = (table.end + DIGEST_BYTES) as u64;
    Ok(Container { minor: header.minor, content_digest: header.content_digest, sections, overhead })
}

/// Reads and checks the header up to the table's place; afterwards, table and digest lie within the file.
fn header(bytes: &[u8], limits: &Limits) -> Result<Header, ArtifactError> {
    let got = bytes.len() as u64;
    within("file", got, limits.file)?;
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(start) || start.is_empty() {
        return Err(ArtifactError::Magic { got: start.to_vec() });
    }
    let least = HEADER_BYTES + DIGEST_BYTES;
    if bytes.len() < least {
        return Err(ArtifactError::Truncated { expected: least as u64, got });
    }
    let mut fields = Fields::new(&bytes[MAGIC.len()..], "header");
    let major = u16::from_le_bytes(fields.array()?);
    let minor = u16::from_le_bytes(fields.array()?);
    if major != MAJOR {
        return Err(ArtifactError::Version { major, minor, supported: MAJOR });
    }
    let [order, _encoders] = fields.array()?;
    if order != LITTLE_ENDIAN {
        return Err(ArtifactError::ByteOrder { got: order });
    }
    let sections = usize::from(u16::from_le_bytes(fields.array()?));
    let expected = u64::from_le_bytes(fields.array()?);
    let bits = u32::from_le_bytes(fields.array()?);
    if bits != 0 {
        return Err(ArtifactError::Features { bits });
    }
    if got < expected {
        return Err(ArtifactError::Truncated { expected, got });
    }
    if got > expected {
        return Err(ArtifactError::TrailingBytes { expected, got });
    }
    within("sections", sections as u64, limits.sections)?;
    let table = (ENTRY_BYTES * sections) as u64;
    within("header", HEADER_BYTES as u64 + table, limits.header)?;
    if got < least as u64 + table {
        return Err(ArtifactError::Truncated { expected: least as u64 + table, got });
    }
    let _crc: [u8; 4] = fields.array()?;
    Ok(Header { minor, sections, content_digest: fields.array()? })
}

fn check_header_crc(bytes: &[u8]) -> Result<(), ArtifactError> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..HEADER_CRC.start]);
    hasher.update(&[0; 4]);
    hasher.update(&bytes[HEADER_CRC.end..]);
    let expected = bytes[HEADER_CRC].first_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
    match hasher.finalize() {
        got if got == expected => Ok(()),
        got => Err(ArtifactError::HeaderCrc { expected, got }),
    }
}

/// Places every section in `body`, checks sums, order, flags and checksums; unknown optional ones are left out.
fn sections<'a>(
    bytes: &'a [u8],
    entries: &[Entry],
    body: Range<usize>,
    limits: &Limits,
) -> Result<Vec<Section<'a>>, ArtifactError> {
    // At most 65,535 entries of 32 bits: these sums cannot overflow.
    let stored: u64 = entries.iter().map(|e| u64::from(e.stored)).sum();
    let raw: u64 = entries.iter().map(|e| u64::from(e.raw)).sum();
    if stored != body.len() as u64 {
        return Err(ArtifactError::SectionSum { expected: body.len() as u64, got: stored });
    }
    limits.check_raw(raw, bytes.len() as u64)?;
    let mut sections = Vec::new();
    let mut offset = body.start;
    let mut previous = 0;
    for (index, &entry) in entries.iter().enumerate() {
        let kind = check_entry(index, &entry, previous)?;
        previous = entry.kind;
        let stored = &bytes[offset..offset + entry.stored as usize];
        let got = crc32fast::hash(stored);
        if got != entry.crc {
            let kind = kind.map_or("unknown", Kind::name);
            let expected = entry.crc;
            return Err(ArtifactError::SectionCrc { index, kind, offset: offset as u64, expected, got });
        }
        if let Some(kind) = kind {
            sections.push(Section { index, kind, entry, offset: offset as u64, stored });
        }
        offset += entry.stored as usize;
    }
    Ok(sections)
}

/// Checks an entry's kind, order and flags; `None` for a kind that may be skipped.
fn check_entry(index: usize, entry: &Entry, previous: u8) -> Result<Option<Kind>, ArtifactError> {
    let Some(kind) = Kind::from_id(entry.kind) else {
        return match entry.flags & FLAG_REQUIRED {
            0 if entry.kind >= previous => Ok(None),
            0 => Err(ArtifactError::SectionOrder { index, kind: entry.kind, previous }),
            _ => Err(ArtifactError::UnknownSection { index, kind: entry.kind }),
        };
    };
    let repeats = entry.kind == previous && kind != Kind::Symbols;
    if entry.kind < previous || repeats {
        return Err(ArtifactError::SectionOrder { index, kind: entry.kind, previous });
    }
    let required = if kind.required() { FLAG_REQUIRED } else { 0 };
    let legal = match kind {
        Kind::Symbols => matches!(entry.detail, 4 | 5 | 6 | 8) && entry.flags & !FLAG_COLUMNS == required,
        _ => entry.detail == 0 && entry.flags == required,
    };
    if !legal {
        let (detail, flags) = (entry.detail, entry.flags);
        return Err(ArtifactError::SectionFlags { index, kind: kind.name(), detail, flags });
    }
    if entry.raw == 0 {
        return Err(ArtifactError::EmptySection { kind: kind.name() });
    }
    Ok(Some(kind))
}
