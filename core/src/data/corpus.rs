//! Text files into training and validation shards with a manifest.
//!
//! Every document becomes the beginning-of-sequence id and its ids, with no end id (the challenge's export). Documents
//! are held out deterministically, by position (the first ones, as the field does) or by a hash of their text, and no
//! text is on both sides: by hash equal texts fall together, by position a later copy of a held-out document is dropped.
//!
//! Invariant: the manifest is written last, so a folder with a manifest is complete. Shards of another run are never
//! mixed in: a folder that already has some under the same name is refused.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::corpus_error::CorpusError;
use super::documents::{Documents, Separation};
use super::hashing::Hashing;
use super::manifest::{HeldOut, Manifest, ShardEntry, Source, Split};
use super::shard;
use crate::digest::hex;

/// How a corpus is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusOptions {
    /// Folder for shards and manifest; must exist.
    pub folder: PathBuf,
    /// First part of all file names.
    pub name: String,
    /// What separates documents.
    pub separation: Separation,
    /// Which documents are validation.
    pub held_out: HeldOut,
    /// Beginning-of-sequence id.
    pub bos: u16,
    /// Size of the vocabulary; every id must be smaller.
    pub vocab: usize,
    /// Tokens in a full shard.
    pub shard_tokens: usize,
    /// Identity of the tokenizer (hex), for the manifest.
    pub tokenizer: String,
}

/// Makes a corpus of `texts`, in order; `encode` gives the ids of a document without its beginning-of-sequence id.
/// On an error nothing of the corpus stays behind.
pub fn build(
    texts: &[PathBuf],
    options: &CorpusOptions,
    mut encode: impl FnMut(&str) -> Vec<u32>,
) -> Result<Manifest, CorpusError> {
    check_options(options)?;
    let mut builder = Builder {
        options,
        train: Side::new("train", options),
        val: Side::new("val", options),
        held_out: HashSet::new(),
        documents: 0,
        dropped_copies: 0,
    };
    let made = builder.run(texts, &mut encode);
    if made.is_err() {
        for entry in builder.train.split.shards.iter().chain(&builder.val.split.shards) {
            // Best effort: what cannot be removed is found by the next run's check for old shards.
            let _ = std::fs::remove_file(options.folder.join(&entry.file));
        }
    }
    made
}

fn check_options(options: &CorpusOptions) -> Result<(), CorpusError> {
    let fail = |option, expected, got: String| Err(CorpusError::Option { option, expected, got });
    if !(1..=1 << 16).contains(&options.vocab) {
        return fail("vocab", "1..=65536", options.vocab.to_string());
    }
    if usize::from(options.bos) >= options.vocab {
        return fail("bos", "an id of the vocabulary", options.bos.to_string());
    }
    if options.shard_tokens == 0 || options.shard_tokens as u64 > shard::MAX_TOKENS {
        return fail("shard_tokens", "1..=2147483647", options.shard_tokens.to_string());
    }
    if let HeldOut::First(0) | HeldOut::OneIn(0) = options.held_out {
        return fail("held_out", "a positive number", "0".into());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if options.name.is_empty() || options.name.starts_with('.') || !options.name.chars().all(plain) {
        return fail("name", "letters, digits, `-`, `_` and `.`, not first", options.name.clone());
    }
    let io = |source| CorpusError::Io { path: options.folder.clone(), action: "list", source };
    let prefixes = ["train_", "val_", "manifest.json"].map(|part| format!("{}_{part}", options.name));
    for entry in std::fs::read_dir(&options.folder).map_err(io)? {
        let file = entry.map_err(io)?.file_name();
        if file.to_str().is_some_and(|f| prefixes.iter().any(|p| f.starts_with(p))) {
            return Err(CorpusError::Exists { path: options.folder.join(file) });
        }
    }
    Ok(())
}

/// State while texts are read.
struct Builder<'a> {
    options: &'a CorpusOptions,
    train: Side<'a>,
    val: Side<'a>,
    /// Hashes of the documents held out by position.
    held_out: HashSet<[u8; 32]>,
    documents: u64,
    dropped_copies: u64,
}

impl Builder<'_> {
    fn run(
        &mut self,
        texts: &[PathBuf],
        encode: &mut impl FnMut(&str) -> Vec<u32>,
    ) -> Result<Manifest, CorpusError> {
        let options = self.options;
        let sources = texts.iter().map(|path| self.text(path, encode)).collect::<Result<Vec<_>, _>>()?;
        self.train.flush()?;
        self.val.flush()?;
        let sides = [(&self.train, true), (&self.val, options.held_out != HeldOut::Nothing)];
        if let Some((side, _)) = sides.into_iter().find(|(side, wanted)| *wanted && side.split.documents == 0)
        {
            return Err(CorpusError::EmptySplit { split: side.name, documents: self.documents });
        }
        let manifest = Manifest {
            version: 1,
            name: options.name.clone(),
            tokenizer: options.tokenizer.clone(),
            vocab: options.vocab,
            bos: options.bos,
            separation: options.separation,
            held_out: options.held_out,
            sources,
            train: self.train.split.clone(),
            val: self.val.split.clone(),
            dropped_copies: self.dropped_copies,
        };
        let path = options.folder.join(Manifest::file_name(&options.name));
        let json = serde_json::to_vec_pretty(&manifest).expect("a manifest has only string keys");
        crate::durable::replace(&path, &json).map_err(|source| CorpusError::Io {
            path,
            action: "write",
            source,
        })?;
        Ok(manifest)
    }

    fn text(
        &mut self,
        path: &Path,
        encode: &mut impl FnMut(&str) -> Vec<u32>,
    ) -> Result<Source, CorpusError> {
        let io = |source| CorpusError::Io { path: path.to_path_buf(), action: "open", source };
        let hashing = Hashing::new(File::open(path).map_err(io)?);
        let mut documents =
            Documents::new(BufReader::with_capacity(1 << 20, hashing), self.options.separation);
        let mut number = 0;
        let wrong = |source| CorpusError::Document { path: path.to_path_buf(), source };
        while let Some(text) = documents.next_document().map_err(wrong)? {
            self.document(path, number, &text, encode)?;
            number += 1;
        }
        let (sha256, bytes) = documents.into_inner().into_inner().finish();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Source { file, bytes, sha256 })
    }

    fn document(
        &mut self,
        path: &Path,
        number: u64,
        text: &str,
        encode: &mut impl FnMut(&str) -> Vec<u32>,
    ) -> Result<(), CorpusError> {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let held_out = match self.options.held_out {
            HeldOut::Nothing => false,
            HeldOut::First(count) if self.documents < count => {
                self.held_out.insert(hash);
                true
            }
            HeldOut::First(_) => {
                if self.held_out.contains(&hash) {
                    self.documents += 1;
                    self.dropped_copies += 1;
                    return Ok(());
                }
                false
            }
            HeldOut::OneIn(count) => {
                let first = hash.first_chunk().expect("32 bytes hold 8");
                u64::from_le_bytes(*first).is_multiple_of(count)
            }
        };
        self.documents += 1;
        let vocab = self.options.vocab;
        let ids = encode(text);
        if let Some(position) = ids.iter().position(|&id| id as usize >= vocab) {
            let (path, id) = (path.to_path_buf(), ids[position]);
            return Err(CorpusError::TokenOutOfRange { path, document: number, position, id, vocab });
        }
        let side = if held_out { &mut self.val } else { &mut self.train };
        side.split.documents += 1;
        side.split.bytes += text.len() as u64;
        // A vocabulary has at most 65,536 ids, so that the casts below lose nothing.
        side.push([self.options.bos].into_iter().chain(ids.into_iter().map(|id| id as u16)))
    }
}

/// One side while it is written.
struct Side<'a> {
    name: &'static str,
    options: &'a CorpusOptions,
    split: Split,
    pending: Vec<u16>,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, options: &'a CorpusOptions) -> Self {
        Self { name, options, split: Split::default(), pending: Vec::new() }
    }

    fn push(&mut self, tokens: impl Iterator<Item = u16>) -> Result<(), CorpusError> {
        for token in tokens {
            self.pending.push(token);
            if self.pending.len() == self.options.shard_tokens {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes what is pending as the next shard.
    fn flush(&mut self) -> Result<(), CorpusError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let file = format!("{}_{}_{:06}.bin", self.options.name, self.name, self.split.shards.len());
        let path = self.options.folder.join(&file);
        let bytes = shard::encode(&path, &self.pending)?;
        crate::durable::replace(&path, &bytes).map_err(|source| CorpusError::Io {
            path,
            action: "write",
            source,
        })?;
        let tokens = self.pending.len() as u64;
        self.split.tokens += tokens;
        self.split.shards.push(ShardEntry { file, tokens, sha256: hex(&Sha256::digest(&bytes)) });
        self.pending.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
