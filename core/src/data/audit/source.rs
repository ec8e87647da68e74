//! Documents of shards or texts as runs of symbols, one at a time.

use super::error::AuditError;
use super::hashes::mixed;
use crate::data::{Documents, Separation, ShardReader};
use serde::Serialize;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Longest run of tokens that is taken for one document; a shard without markers must not fill the memory.
const MAX_DOCUMENT_TOKENS: usize = 1 << 20;
/// Tokens read from a shard at a time.
const BLOCK: u64 = 1 << 16;
/// Symbols of an example.
const SHOWN: usize = super::NGRAM;

/// Data to be audited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditSource {
    /// Token shards; `bos` opens documents.
    Shards {
        /// The files, in order.
        paths: Vec<PathBuf>,
        /// The id that opens a document.
        bos: u16,
    },
    /// UTF-8 texts, compared by words.
    Texts {
        /// The files, in order.
        paths: Vec<PathBuf>,
        /// What separates documents.
        separation: Separation,
    },
}

/// Where a document or an n-gram is: in a file of its source, so many symbols from the file's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// Index of the file.
    pub file: usize,
    /// Tokens (of a shard) or words (of a text) before it.
    pub offset: u64,
}

impl Place {
    /// `symbols` further on.
    pub(super) fn plus(self, symbols: usize) -> Self {
        Self { offset: self.offset + symbols as u64, ..self }
    }
}

/// A document while it is looked at.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub place: Place,
    pub symbols: &'a [u64],
    /// The words behind the symbols, of a text.
    text: Option<&'a str>,
}

impl Document<'_> {
    /// A few symbols from `at` on.
    pub fn shown(&self, at: usize) -> String {
        match self.text {
            Some(text) => text.split_whitespace().skip(at).take(SHOWN).collect::<Vec<_>>().join(" "),
            None => {
                let tokens = self.symbols.iter().skip(at).take(SHOWN);
                tokens.map(u64::to_string).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

impl AuditSource {
    /// What its symbols are.
    pub fn unit(&self) -> &'static str {
        match self {
            AuditSource::Shards { .. } => "tokens",
            AuditSource::Texts { .. } => "words",
        }
    }

    /// Its files.
    pub fn paths(&self) -> &[PathBuf] {
        match self {
            AuditSource::Shards { paths, .. } | AuditSource::Texts { paths, .. } => paths,
        }
    }

    /// Shows every document that has symbols to `look`, in order.
    pub(super) fn read(&self, look: &mut dyn FnMut(Document<'_>)) -> Result<(), AuditError> {
        match self {
            AuditSource::Shards { paths, bos } => {
                (0..).zip(paths).try_for_each(|(file, path)| shard(file, path, *bos, look))
            }
            AuditSource::Texts { paths, separation } => {
                (0..).zip(paths).try_for_each(|(file, path)| text(file, path, *separation, look))
            }
        }
    }
}

fn shard(file: usize, path: &Path, bos: u16, look: &mut dyn FnMut(Document<'_>)) -> Result<(), AuditError> {
    let mut reader = ShardReader::open(path)?;
    let (mut block, mut symbols, mut begin) = (Vec::new(), Vec::new(), 0);
    let mut first = 0;
    let mut end = |symbols: &mut Vec<u64>, offset: u64| {
        if !symbols.is_empty() {
            look(Document { place: Place { file, offset }, symbols, text: None });
        }
        symbols.clear();
    };
    while first < reader.tokens() {
        block.clear();
        let count = (reader.tokens() - first).min(BLOCK);
        reader.read(first, count as usize, &mut block)?;
        for (position, &token) in (first..).zip(&block) {
            if token == bos || symbols.len() == MAX_DOCUMENT_TOKENS {
                end(&mut symbols, begin);
            }
            // The marker itself is in every document and part of none.
            if token == bos {
                begin = position + 1;
                continue;
            }
            if symbols.is_empty() {
                begin = position;
            }
            symbols.push(u64::from(token));
        }
        first += count;
    }
    end(&mut symbols, begin);
    Ok(())
}

fn text(
    file: usize,
    path: &Path,
    separation: Separation,
    look: &mut dyn FnMut(Document<'_>),
) -> Result<(), AuditError> {
    let io = |source| AuditError::Io { path: path.to_path_buf(), source };
    let reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(io)?);
    let mut documents = Documents::new(reader, separation);
    let mut offset = 0;
    let wrong = |source| AuditError::Document { path: path.to_path_buf(), source };
    while let Some(text) = documents.next_document().map_err(wrong)? {
        let symbols: Vec<u64> = text.split_whitespace().map(word).collect();
        if !symbols.is_empty() {
            look(Document { place: Place { file, offset }, symbols: &symbols, text: Some(&text) });
        }
        offset += symbols.len() as u64;
    }
    Ok(())
}

/// A word as a number: FNV-1a over its bytes, mixed.
fn word(word: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mixed(word.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}
