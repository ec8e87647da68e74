//! A second writer of artifact files, from the layout's documentation alone and without any checks.
//!
//! It shares no code with golf-core, so it states the layout once more, independently; and it signs whatever it is
//! given, so forged content gets past the checksums to the check that must refuse it.

use sha2::{Digest, Sha256};

/// Kinds of section.
pub const CONFIG: u8 = 1;
pub const TENSORS: u8 = 2;
pub const TOKENIZER: u8 = 3;
pub const IDENTITY: u8 = 4;
pub const PROVENANCE: u8 = 5;
pub const SYMBOLS: u8 = 16;
pub const SCALES: u8 = 17;
pub const HALVES: u8 = 18;
pub const SINGLES: u8 = 19;

/// Codecs.
pub const STORE: u8 = 0;
pub const ZSTD: u8 = 1;
pub const LZMA: u8 = 2;
pub const BROTLI: u8 = 3;

/// A section with every field free.
#[derive(Clone)]
pub struct Section {
    pub kind: u8,
    pub codec: u8,
    pub detail: u8,
    pub flags: u8,
    pub raw: u32,
    pub declared: u32,
    pub crc_error: u32,
    pub stored: Vec<u8>,
}

impl Section {
    /// A stored section with the flags that its kind asks for.
    pub fn new(kind: u8, raw: impl Into<Vec<u8>>) -> Self {
        let stored = raw.into();
        let flags = u8::from(!(TOKENIZER..=PROVENANCE).contains(&kind));
        let len = stored.len() as u32;
        Self { kind, codec: STORE, detail: 0, flags, raw: len, declared: len, crc_error: 0, stored }
    }

    /// The same section with other stored bytes under a codec.
    pub fn coded(mut self, codec: u8, raw: u32, stored: Vec<u8>) -> Self {
        (self.codec, self.raw, self.declared) = (codec, raw, stored.len() as u32);
        self.stored = stored;
        self
    }
}

/// A file with every field free.
#[derive(Clone)]
pub struct File {
    pub magic: [u8; 8],
    pub major: u16,
    pub order: u8,
    pub count: Option<u16>,
    pub length_error: i64,
    pub features: u32,
    pub header_crc_error: u32,
    pub content: [u8; 32],
    pub digest_error: u8,
    pub sections: Vec<Section>,
}

impl File {
    /// A sound header around `sections`.
    pub fn new(content: [u8; 32], sections: Vec<Section>) -> Self {
        let magic = *b"\x89GLF\r\n\x1a\n";
        let (count, length_error, features, header_crc_error, digest_error) = (None, 0, 0, 0, 0);
        Self {
            magic,
            major: 1,
            order: 1,
            count,
            length_error,
            features,
            header_crc_error,
            content,
            digest_error,
            sections,
        }
    }

    /// Takes a sound file apart.
    pub fn parse(bytes: &[u8]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let count = usize::from(u16::from_le_bytes([bytes[14], bytes[15]]));
        let mut offset = 64 + 16 * count;
        let mut sections = Vec::new();
        for at in (64..).step_by(16).take(count) {
            let declared = u32_at(at + 8);
            let stored = bytes[offset..offset + declared as usize].to_vec();
            offset += stored.len();
            let [kind, codec, detail, flags] = bytes[at..at + 4] else { unreachable!() };
            sections.push(Section {
                kind,
                codec,
                detail,
                flags,
                raw: u32_at(at + 4),
                declared,
                crc_error: 0,
                stored,
            });
        }
        Self::new(bytes[32..64].try_into().unwrap(), sections)
    }

    /// The section of a kind.
    pub fn section(&mut self, kind: u8) -> &mut Section {
        self.sections.iter_mut().find(|section| section.kind == kind).unwrap()
    }

    /// Puts a stored section of `raw` bytes in the place of the one of its kind, its detail kept.
    pub fn replace(&mut self, kind: u8, raw: impl Into<Vec<u8>>) {
        let old = self.section(kind);
        *old = Section { detail: old.detail, ..Section::new(kind, raw) };
    }

    /// Adds a section in its place.
    pub fn insert(&mut self, section: Section) {
        let at = self.sections.iter().take_while(|other| other.kind <= section.kind).count();
        self.sections.insert(at, section);
    }

    /// The file, signed.
    pub fn bytes(&self) -> Vec<u8> {
        let body: usize = self.sections.iter().map(|section| section.stored.len()).sum();
        let length = (64 + 16 * self.sections.len() + body + 32) as i64 + self.length_error;
        let mut file = self.magic.to_vec();
        file.extend(self.major.to_le_bytes());
        file.extend([0, 0, self.order, 1]);
        file.extend(self.count.unwrap_or(self.sections.len() as u16).to_le_bytes());
        file.extend((length as u64).to_le_bytes());
        file.extend(self.features.to_le_bytes());
        file.extend([0; 4]);
        file.extend(self.content);
        for section in &self.sections {
            file.extend([section.kind, section.codec, section.detail, section.flags]);
            file.extend(section.raw.to_le_bytes());
            file.extend(section.declared.to_le_bytes());
            file.extend((crc32fast::hash(&section.stored) ^ section.crc_error).to_le_bytes());
        }
        let crc = crc32fast::hash(&file) ^ self.header_crc_error;
        file[28..32].copy_from_slice(&crc.to_le_bytes());
        self.sections.iter().for_each(|section| file.extend(&section.stored));
        let mut digest: [u8; 32] = Sha256::digest(&file).into();
        digest[0] ^= self.digest_error;
        file.extend(digest);
        file
    }
}

/// A tensor of the table: name, type, dimensions, symbols section.
pub type Row<'a> = (&'a [u8], u8, &'a [u32], u16);

/// A tensor table.
pub fn table(rows: &[Row]) -> Vec<u8> {
    let mut bytes = (rows.len() as u32).to_le_bytes().to_vec();
    rows.iter().for_each(|row| bytes.push(row.0.len() as u8));
    rows.iter().for_each(|row| bytes.extend(row.0));
    rows.iter().for_each(|row| bytes.push(row.1));
    rows.iter().for_each(|row| bytes.push(row.2.len() as u8));
    rows.iter().flat_map(|row| row.2).for_each(|dim| bytes.extend(dim.to_le_bytes()));
    rows.iter().filter(|row| row.1 < 16).for_each(|row| bytes.extend(row.3.to_le_bytes()));
    bytes
}
