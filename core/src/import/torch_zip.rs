//! The ZIP inside a torch file: one folder with `data.pkl`, `byteorder` and the raw storages `data/<key>`.
//!
//! Invariant: every entry is stored (never compressed), its bytes lie inside the file, overlap no other entry and
//! match their CRC-32; storages are little-endian. Entries are slices of the input, so opening allocates only the
//! table of names. This is not an archive tool: nothing is extracted, and names are only compared.

use std::collections::BTreeMap;
use std::io::Cursor;

use thiserror::Error;
use zip::read::ZipArchive;
use zip::result::ZipError;

use super::Limits;

/// Longest name of an entry in bytes.
const MAX_NAME: usize = 255;

/// The entries of a torch file.
#[derive(Debug)]
pub struct TorchZip<'a> {
    folder: String,
    entries: BTreeMap<String, &'a [u8]>,
}

/// Why a ZIP is not a readable torch file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TorchZipError {
    /// The ZIP structure itself is broken.
    #[error("damaged ZIP: {0}")]
    Structure(ZipError),
    /// More entries than tensors are allowed.
    #[error("{got} entries in the ZIP: expected at most {limit}")]
    TooManyEntries {
        /// Entries in the central directory.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// Two entries have the same name.
    #[error("two entries of the ZIP have the same name")]
    DuplicateName,
    /// Two entries share bytes.
    #[error("entries of the ZIP overlap")]
    Overlap,
    /// An entry's name is too long or not UTF-8.
    #[error("entry {index} of the ZIP has an unreadable name: expected UTF-8 of at most 255 bytes")]
    Name {
        /// Position in the central directory.
        index: usize,
    },
    /// An entry is compressed or encrypted.
    #[error("entry `{name}` is {how}: expected a stored entry\nhint: write the file with torch.save")]
    NotStored {
        /// The entry.
        name: String,
        /// `compressed` or `encrypted`.
        how: &'static str,
    },
    /// An entry's two sizes disagree although it is stored.
    #[error("stored entry `{name}`: expected {size} bytes, got {stored}")]
    Sizes {
        /// The entry.
        name: String,
        /// Uncompressed size.
        size: u64,
        /// Compressed size.
        stored: u64,
    },
    /// An entry reaches beyond the file.
    #[error("entry `{name}` reaches beyond the end of the file")]
    OutOfBounds {
        /// The entry.
        name: String,
    },
    /// An entry's bytes do not match its checksum.
    #[error("entry `{name}` is damaged: expected CRC-32 {expected:08x}, got {got:08x}")]
    Checksum {
        /// The entry.
        name: String,
        /// From the central directory.
        expected: u32,
        /// Of the bytes.
        got: u32,
    },
    /// No folder has a `data.pkl`, or several have.
    #[error(
        "{got} entries named `<folder>/data.pkl`: expected 1\nhint: TorchScript archives are not state dicts"
    )]
    Pickles {
        /// How many.
        got: usize,
    },
    /// The pickle is longer than the limit.
    #[error("`data.pkl` has {got} bytes: expected at most {limit}")]
    PickleTooLarge {
        /// Its size.
        got: usize,
        /// The limit.
        limit: u64,
    },
    /// The file was written on a big-endian machine.
    #[error("byte order `{got}`: expected `little`")]
    ByteOrder {
        /// What the entry says, up to 16 bytes.
        got: String,
    },
}

impl<'a> TorchZip<'a> {
    /// Opens the ZIP in `bytes` and checks every entry.
    pub fn open(bytes: &'a [u8], limits: &Limits) -> Result<Self, TorchZipError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(TorchZipError::Structure)?;
        // A few entries of a torch file are no storages.
        let limit = limits.tensors.saturating_add(64);
        if archive.len() > limit {
            return Err(TorchZipError::TooManyEntries { got: archive.len(), limit });
        }
        if archive.has_duplicate_names() {
            return Err(TorchZipError::DuplicateName);
        }
        if archive.has_overlapping_files().map_err(TorchZipError::Structure)? {
            return Err(TorchZipError::Overlap);
        }
        let mut entries = BTreeMap::new();
        for index in 0..archive.len() {
            let (name, data) = entry(&mut archive, index, bytes)?;
            entries.insert(name, data);
        }
        let folder = folder(&entries)?;
        let zip = Self { folder, entries };
        zip.check(limits)?;
        Ok(zip)
    }

    /// The pickle program.
    pub fn pickle(&self) -> &'a [u8] {
        self.entries[&format!("{}/data.pkl", self.folder)]
    }

    /// The raw bytes of the storage `key`, `None` where there is none.
    pub fn storage(&self, key: &str) -> Option<&'a [u8]> {
        self.entries.get(&format!("{}/data/{key}", self.folder)).copied()
    }

    fn check(&self, limits: &Limits) -> Result<(), TorchZipError> {
        let got = self.pickle().len();
        if got as u64 > limits.pickle_bytes {
            return Err(TorchZipError::PickleTooLarge { got, limit: limits.pickle_bytes });
        }
        // Files from before torch 2.1 have no such entry and are little-endian in practice.
        match self.entries.get(&format!("{}/byteorder", self.folder)) {
            Some(&order) if order != b"little" => {
                let got = String::from_utf8_lossy(&order[..order.len().min(16)]).into_owned();
                Err(TorchZipError::ByteOrder { got })
            }
            _ => Ok(()),
        }
    }
}

/// Name and bytes of entry `index`.
fn entry<'a>(
    archive: &mut ZipArchive<Cursor<&'a [u8]>>,
    index: usize,
    bytes: &'a [u8],
) -> Result<(String, &'a [u8]), TorchZipError> {
    let file = archive.by_index_raw(index).map_err(TorchZipError::Structure)?;
    let name = match std::str::from_utf8(file.name_raw()) {
        Ok(name) if name.len() <= MAX_NAME => name.to_owned(),
        _ => return Err(TorchZipError::Name { index }),
    };
    if file.encrypted() {
        return Err(TorchZipError::NotStored { name, how: "encrypted" });
    }
    if file.compression() != zip::CompressionMethod::Stored {
        return Err(TorchZipError::NotStored { name, how: "compressed" });
    }
    let (size, stored) = (file.size(), file.compressed_size());
    if size != stored {
        return Err(TorchZipError::Sizes { name, size, stored });
    }
    let range = file.data_start().and_then(|start| {
        let start = usize::try_from(start).ok()?;
        Some(start..start.checked_add(usize::try_from(size).ok()?)?)
    });
    let Some(data) = range.and_then(|range| bytes.get(range)) else {
        return Err(TorchZipError::OutOfBounds { name });
    };
    let (expected, got) = (file.crc32(), crc32fast::hash(data));
    if expected != got {
        return Err(TorchZipError::Checksum { name, expected, got });
    }
    Ok((name, data))
}

/// The one top folder that has a `data.pkl`.
fn folder(entries: &BTreeMap<String, &[u8]>) -> Result<String, TorchZipError> {
    let mut folders = entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
    match (folders.next(), folders.count()) {
        (Some(folder), 0) => Ok(folder.to_owned()),
        (first, more) => Err(TorchZipError::Pickles { got: usize::from(first.is_some()) + more }),
    }
}
