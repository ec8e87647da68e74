//! One token shard: 256 little-endian `i32` (magic 20240520, version 1, token count, zeros), then the tokens as
//! little-endian `u16`. This is the format of the challenge's `fineweb_train_000000.bin` (llm.c's, with its own magic).
//!
//! Invariant: a [`ShardReader`] exists only for a file whose length is exactly what its header says, so that a
//! truncated download or an empty file is found before training and not in the middle of it. Files are read by seek
//! and read in blocks; nothing is mapped.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// First header word.
pub const MAGIC: i32 = 20_240_520;
/// Second header word.
pub const VERSION: i32 = 1;
/// Bytes before the first token.
pub const HEADER_BYTES: u64 = 1024;
/// Bytes of a token.
pub const TOKEN_BYTES: u64 = 2;
/// Most tokens that the header's signed count can state.
pub const MAX_TOKENS: u64 = i32::MAX as u64;
/// Tokens read at a time when a whole shard is scanned.
const BLOCK: usize = 1 << 16;

/// Why a shard cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The system refused.
    #[error("cannot {action} shard `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `open`, `read`, `write`, …
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file of 0 bytes.
    #[error("shard `{}` is empty: expected a header of 1024 bytes\nhint: download it again", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file shorter than the header.
    #[error("shard `{}` ends inside its header: expected 1024 bytes, got {got}\nhint: download it again", path.display())]
    ShortHeader {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        got: u64,
    },
    /// A wrong first word.
    #[error("`{}` is no token shard: expected magic {MAGIC} at offset 0, got {got}{}", path.display(), magic_hint(*got))]
    Magic {
        /// The file.
        path: PathBuf,
        /// The first word.
        got: i32,
    },
    /// An unknown version.
    #[error("shard `{}`: expected version {VERSION} at offset 4, got {got}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The second word.
        got: i32,
    },
    /// A token count that is not positive.
    #[error("shard `{}`: expected a positive token count at offset 8, got {got}", path.display())]
    Count {
        /// The file.
        path: PathBuf,
        /// The third word.
        got: i32,
    },
    /// A file that is longer or shorter than its header says.
    #[error(
        "shard `{}` of {tokens} tokens: expected {expected} bytes, got {got}\nhint: {}", path.display(),
        if got < expected { "the file is truncated, download it again" } else { "the file has bytes that belong to no token" }
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// The stated token count.
        tokens: u64,
        /// Bytes that it needs.
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// An id that the vocabulary does not have.
    #[error(
        "shard `{}`: token {position} (offset {}) is {id}: expected less than the vocabulary of {vocab}\nhint: the shards were made with another tokenizer",
        path.display(), HEADER_BYTES + TOKEN_BYTES * position
    )]
    TokenOutOfRange {
        /// The file.
        path: PathBuf,
        /// Index of the first such token.
        position: u64,
        /// The id.
        id: u16,
        /// Size of the vocabulary.
        vocab: usize,
    },
    /// A read beyond the last token.
    #[error("shard `{}`: tokens {first}..{end} of {tokens}", path.display())]
    OutOfBounds {
        /// The file.
        path: PathBuf,
        /// First token asked for.
        first: u64,
        /// End of the range asked for.
        end: u64,
        /// Tokens in the shard.
        tokens: u64,
    },
    /// More or fewer tokens than a header can state.
    #[error("shard `{}` of {got} tokens: expected 1..={MAX_TOKENS}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Number of tokens.
        got: usize,
    },
}

fn magic_hint(got: i32) -> &'static str {
    if got.swap_bytes() == MAGIC { "\nhint: the file is big-endian" } else { "" }
}

/// A shard that has been checked and can be read anywhere.
#[derive(Debug)]
pub struct ShardReader {
    file: File,
    path: PathBuf,
    tokens: u64,
}

impl ShardReader {
    /// Opens the shard at `path` and checks its header against its length.
    pub fn open(path: &Path) -> Result<Self, ShardError> {
        let fail = |action| move |source| ShardError::Io { path: path.to_path_buf(), action, source };
        let path_buf = || path.to_path_buf();
        let mut file = File::open(path).map_err(fail("open"))?;
        let got = file.metadata().map_err(fail("examine"))?.len();
        if got == 0 {
            return Err(ShardError::EmptyFile { path: path_buf() });
        }
        if got < HEADER_BYTES {
            return Err(ShardError::ShortHeader { path: path_buf(), got });
        }
        let mut head = [0; 12];
        file.read_exact(&mut head).map_err(fail("read"))?;
        let (words, _) = head.as_chunks::<4>();
        let [magic, version, count] = [0, 1, 2].map(|i| i32::from_le_bytes(words[i]));
        if magic != MAGIC {
            return Err(ShardError::Magic { path: path_buf(), got: magic });
        }
        if version != VERSION {
            return Err(ShardError::Version { path: path_buf(), got: version });
        }
        let tokens = match u64::try_from(count) {
            Ok(tokens) if tokens > 0 => tokens,
            _ => return Err(ShardError::Count { path: path_buf(), got: count }),
        };
        let expected = HEADER_BYTES + TOKEN_BYTES * tokens;
        if got != expected {
            return Err(ShardError::Length { path: path_buf(), tokens, expected, got });
        }
        Ok(Self { file, path: path_buf(), tokens })
    }

    /// Number of tokens, at least 1.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends the tokens `first..first + count` to `out`.
    pub fn read(&mut self, first: u64, count: usize, out: &mut Vec<u16>) -> Result<(), ShardError> {
        let end = first.saturating_add(count as u64);
        if end > self.tokens {
            return Err(ShardError::OutOfBounds { path: self.path.clone(), first, end, tokens: self.tokens });
        }
        let mut bytes = vec![0; count * TOKEN_BYTES as usize];
        self.file
            .seek(SeekFrom::Start(HEADER_BYTES + TOKEN_BYTES * first))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|source| ShardError::Io { path: self.path.clone(), action: "read", source })?;
        out.extend(bytes.as_chunks::<2>().0.iter().map(|&b| u16::from_le_bytes(b)));
        Ok(())
    }

    /// Scans the whole shard for the first id that a vocabulary of `vocab` does not have.
    pub fn check_tokens(&mut self, vocab: usize) -> Result<(), ShardError> {
        let blocks = (0..self.tokens).step_by(BLOCK);
        blocks.into_iter().try_for_each(|first| self.check_block(first, vocab))
    }

    /// The same for its first block: another tokenizer shows there.
    pub fn check_beginning(&mut self, vocab: usize) -> Result<(), ShardError> {
        self.check_block(0, vocab)
    }

    fn check_block(&mut self, first: u64, vocab: usize) -> Result<(), ShardError> {
        let count = (self.tokens - first).min(BLOCK as u64) as usize;
        let mut block = Vec::with_capacity(count);
        self.read(first, count, &mut block)?;
        self.check_ids(&block, first, vocab)
    }

    /// Refuses the first of `ids`, its tokens from `first` on, that a vocabulary of `vocab` does not have.
    pub(super) fn check_ids(&self, ids: &[u16], first: u64, vocab: usize) -> Result<(), ShardError> {
        match ids.iter().position(|&id| usize::from(id) >= vocab) {
            None => Ok(()),
            Some(at) => {
                let (path, position) = (self.path.clone(), first + at as u64);
                Err(ShardError::TokenOutOfRange { path, position, id: ids[at], vocab })
            }
        }
    }
}

/// The bytes of a shard that holds `tokens`; `path` is for messages.
pub fn encode(path: &Path, tokens: &[u16]) -> Result<Vec<u8>, ShardError> {
    if tokens.is_empty() || tokens.len() as u64 > MAX_TOKENS {
        return Err(ShardError::Unwritable { path: path.to_path_buf(), got: tokens.len() });
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES as usize + tokens.len() * TOKEN_BYTES as usize);
    for word in [MAGIC, VERSION, tokens.len() as i32] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.resize(HEADER_BYTES as usize, 0);
    bytes.extend(tokens.iter().flat_map(|t| t.to_le_bytes()));
    Ok(bytes)
}

/// Writes a shard: under a temporary name, synced, then renamed, so that `path` never holds half a shard.
pub fn write(path: &Path, tokens: &[u16]) -> Result<(), ShardError> {
    let bytes = encode(path, tokens)?;
    crate::durable::replace(path, &bytes).map_err(|source| ShardError::Io {
        path: path.to_path_buf(),
        action: "write",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_reads_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x_train_000000.bin");
        let tokens: Vec<u16> = (0..70_000u32).map(|i| (i * 7 % 65_536) as u16).collect();
        write(&path, &tokens).unwrap();
        let mut reader = ShardReader::open(&path).unwrap();
        assert_eq!(reader.tokens(), 70_000);
        let mut all = Vec::new();
        reader.read(0, 70_000, &mut all).unwrap();
        assert_eq!(all, tokens);
        let mut some = vec![9];
        reader.read(65_530, 10, &mut some).unwrap();
        assert_eq!(some[1..], tokens[65_530..65_540]);
        assert!(matches!(
            reader.read(69_999, 2, &mut some),
            Err(ShardError::OutOfBounds { end: 70_001, .. })
        ));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn the_first_foreign_id_is_reported_with_its_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let mut tokens = vec![1023; 70_000];
        (tokens[66_000], tokens[66_001]) = (1024, 2000);
        write(&path, &tokens).unwrap();
        let mut reader = ShardReader::open(&path).unwrap();
        reader.check_tokens(2001).unwrap();
        let error = reader.check_tokens(1024).unwrap_err();
        assert!(matches!(error, ShardError::TokenOutOfRange { position: 66_000, id: 1024, .. }), "{error}");
        assert!(error.to_string().contains("offset 133024"), "{error}");
    }
}
