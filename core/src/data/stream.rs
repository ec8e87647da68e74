//! The loader: one sequential stream of tokens over sorted shards, wrapping around forever.
//!
//! Every rank walks the same stream. A micro-step of `n` tokens on each of `world` ranks takes `(n + 1) · world`
//! tokens; rank `r` uses the `r`-th slice of `n + 1`, the inputs being its first `n` tokens and the targets its last
//! `n`. There is no shuffling and no alignment to documents (the challenge's baseline loader, PR #264 to #1216).
//!
//! Invariant: what follows depends only on the shards and the [`Position`], so a run that saves the position and the
//! [`TokenStream::identity`] of its shards resumes with exactly the tokens that it would have seen.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::shard::{ShardError, ShardReader};
use crate::parallel::on_all_cores;

/// Where the next token comes from. Canonical: `offset` is always less than the shard's length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Index of the shard in sorted order.
    pub shard: usize,
    /// Token within the shard.
    pub offset: u64,
    /// How often the stream has wrapped around.
    pub epoch: u64,
}

/// Inputs and targets of one rank for one micro-step, `rows` × `seq`, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Number of rows.
    pub rows: usize,
    /// Tokens per row.
    pub seq: usize,
    /// Input ids.
    pub inputs: Vec<i32>,
    /// Target ids: the token after each input.
    pub targets: Vec<i32>,
}

/// Why a stream cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// A shard.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A folder that cannot be listed.
    #[error("cannot list `{}`: {source}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No shard at all.
    #[error("no shards `{pattern}`\nhint: make some with `golf data tokenize`")]
    NoShards {
        /// What was looked for.
        pattern: String,
    },
    /// A position that the shards do not have.
    #[error(
        "position {position:?} is not in these {shards} shards\nhint: the shards changed since the checkpoint"
    )]
    Position {
        /// The position.
        position: Position,
        /// Number of shards.
        shards: usize,
    },
    /// A shard whose length changed after it was checked.
    #[error("shard `{}` changed: expected {expected} tokens, got {got}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Tokens at first.
        expected: u64,
        /// Tokens now.
        got: u64,
    },
    /// A batch that cannot be cut.
    #[error(
        "batch of {tokens} tokens in rows of {seq} for rank {rank} of {world}: expected whole rows and rank < world"
    )]
    Batch {
        /// Tokens per rank.
        tokens: usize,
        /// Row length.
        seq: usize,
        /// The rank.
        rank: usize,
        /// Number of ranks.
        world: usize,
    },
}

/// Paths of the shards `<name>_<split>_*.bin` in `folder`, sorted by name.
pub fn shards_in(folder: &Path, name: &str, split: &str) -> Result<Vec<PathBuf>, StreamError> {
    let fail = |source| StreamError::List { path: folder.to_path_buf(), source };
    let prefix = format!("{name}_{split}_");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let file = entry.map_err(fail)?.file_name();
        if file.to_str().is_some_and(|f| f.starts_with(&prefix) && f.ends_with(".bin")) {
            paths.push(folder.join(file));
        }
    }
    if paths.is_empty() {
        return Err(StreamError::NoShards { pattern: folder.join(prefix + "*.bin").display().to_string() });
    }
    paths.sort();
    Ok(paths)
}

/// The stream; holds one open file.
#[derive(Debug)]
pub struct TokenStream {
    shards: Vec<(PathBuf, u64)>,
    open: Option<(usize, ShardReader)>,
    position: Position,
    /// Ids are below this, where it is known.
    vocab: Option<usize>,
}

impl TokenStream {
    /// A stream over `paths`, sorted, at their beginning. Every shard is checked before this returns.
    pub fn open(mut paths: Vec<PathBuf>) -> Result<Self, StreamError> {
        if paths.is_empty() {
            return Err(StreamError::NoShards { pattern: "(an empty list)".into() });
        }
        paths.sort();
        let check = |path: PathBuf| ShardReader::open(&path).map(|shard| (path, shard.tokens()));
        let shards = paths.into_iter().map(check).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { shards, open: None, position: Position::default(), vocab: None })
    }

    /// Tokens in all shards.
    pub fn tokens(&self) -> u64 {
        self.shards.iter().map(|(_, tokens)| tokens).sum()
    }

    /// SHA-256 (hex) of the shards' file names and lengths in order: equal where a position means the same.
    pub fn identity(&self) -> String {
        let mut hash = Sha256::new();
        for (path, tokens) in &self.shards {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(tokens.to_le_bytes());
        }
        crate::digest::hex(&hash.finalize())
    }

    /// Refuses ids that a vocabulary of `vocab` does not have, where they are read; the beginning of every shard is read now,
    /// so that a run over another tokenizer's shards does not start. Whole shards may be far larger than what a run reads.
    pub fn of_vocab(self, vocab: usize) -> Result<Self, StreamError> {
        let check = |(path, _): &(PathBuf, u64)| ShardReader::open(path)?.check_beginning(vocab);
        on_all_cores(&self.shards, check).into_iter().collect::<Result<(), _>>()?;
        Ok(Self { vocab: Some(vocab), ..self })
    }

    /// Where the next token comes from.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Goes to `position`, which another stream over the same shards reported.
    pub fn seek(&mut self, position: Position) -> Result<(), StreamError> {
        match self.shards.get(position.shard) {
            Some((_, tokens)) if position.offset < *tokens => {
                self.position = position;
                Ok(())
            }
            _ => Err(StreamError::Position { position, shards: self.shards.len() }),
        }
    }

    /// The next `count` tokens.
    pub fn take(&mut self, count: usize) -> Result<Vec<u16>, StreamError> {
        let mut tokens = Vec::with_capacity(count);
        while tokens.len() < count {
            let step = self.left_in_shard().min((count - tokens.len()) as u64);
            let Position { shard, offset, .. } = self.position;
            let (vocab, taken) = (self.vocab, tokens.len());
            let reader = self.reader(shard)?;
            reader.read(offset, step as usize, &mut tokens)?;
            if let Some(vocab) = vocab {
                reader.check_ids(&tokens[taken..], offset, vocab)?;
            }
            self.advance(step);
        }
        Ok(tokens)
    }

    /// Passes over the next `count` tokens without reading them.
    pub fn skip(&mut self, mut count: u64) {
        while count > 0 {
            let step = self.left_in_shard().min(count);
            self.advance(step);
            count -= step;
        }
    }

    /// Rank `rank`'s part of the next micro-step, in which each of `world` ranks gets `tokens` tokens in rows of `seq`.
    pub fn batch(
        &mut self,
        tokens: usize,
        seq: usize,
        rank: usize,
        world: usize,
    ) -> Result<Batch, StreamError> {
        if seq == 0 || tokens == 0 || !tokens.is_multiple_of(seq) || rank >= world {
            return Err(StreamError::Batch { tokens, seq, rank, world });
        }
        let slice = tokens as u64 + 1;
        self.skip(slice * rank as u64);
        let ids: Vec<i32> = self.take(tokens + 1)?.into_iter().map(i32::from).collect();
        self.skip(slice * (world - rank - 1) as u64);
        Ok(Batch { rows: tokens / seq, seq, inputs: ids[..tokens].to_vec(), targets: ids[1..].to_vec() })
    }

    fn left_in_shard(&self) -> u64 {
        self.shards[self.position.shard].1 - self.position.offset
    }

    /// Moves on by at most what is left in the shard, to the next shard when that is all.
    fn advance(&mut self, step: u64) {
        let p = &mut self.position;
        p.offset += step;
        if p.offset == self.shards[p.shard].1 {
            (p.shard, p.offset) = (p.shard + 1, 0);
        }
        if p.shard == self.shards.len() {
            (p.shard, p.epoch) = (0, p.epoch + 1);
        }
    }

    fn reader(&mut self, shard: usize) -> Result<&mut ShardReader, StreamError> {
        let reader = match self.open.take() {
            Some((index, reader)) if index == shard => reader,
            _ => {
                let (path, expected) = &self.shards[shard];
                let reader = ShardReader::open(path)?;
                if reader.tokens() != *expected {
                    let (path, expected) = (path.clone(), *expected);
                    return Err(StreamError::Changed { path, expected, got: reader.tokens() });
                }
                reader
            }
        };
        Ok(&mut self.open.insert((shard, reader)).1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shard;
    use super::*;

    /// Shards of the given lengths that hold 0, 1, 2, … across all of them.
    fn shards(lengths: &[usize]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let mut next = 0..;
        for (i, &length) in lengths.iter().enumerate() {
            let tokens: Vec<u16> = next.by_ref().take(length).collect();
            shard::write(&folder.path().join(format!("t_train_{i:06}.bin")), &tokens).unwrap();
        }
        shard::write(&folder.path().join("t_val_000000.bin"), &[9]).unwrap();
        let paths = shards_in(folder.path(), "t", "train").unwrap();
        (folder, paths)
    }

    #[test]
    fn the_stream_is_the_shards_one_after_the_other_forever() {
        let (_folder, mut paths) = shards(&[5, 1, 3]);
        paths.reverse();
        let mut stream = TokenStream::open(paths).unwrap();
        assert_eq!(stream.tokens(), 9);
        let expected: Vec<u16> = (0..9).cycle().take(40).collect();
        let mut got = Vec::new();
        for step in [0, 1, 4, 2, 9, 20, 3, 1] {
            got.extend(stream.take(step).unwrap());
        }
        assert_eq!(got, expected);
        assert_eq!(stream.position(), Position { shard: 0, offset: 4, epoch: 4 });
    }

    #[test]
    fn resuming_at_every_position_gives_the_same_stream() {
        let (_folder, paths) = shards(&[4, 2, 5]);
        let whole = TokenStream::open(paths.clone()).unwrap().take(60).unwrap();
        let mut walker = TokenStream::open(paths.clone()).unwrap();
        for at in 0..30 {
            let saved = serde_json::to_string(&walker.position()).unwrap();
            let mut resumed = TokenStream::open(paths.clone()).unwrap();
            resumed.seek(serde_json::from_str(&saved).unwrap()).unwrap();
            assert_eq!(resumed.take(30).unwrap(), whole[at..at + 30], "from token {at}");
            walker.skip(1);
        }
    }

    #[test]
    fn ranks_cut_one_take_into_slices_that_shift_by_one() {
        let (_folder, paths) = shards(&[7, 10, 6]);
        for world in [1, 2, 4] {
            let mut whole = TokenStream::open(paths.clone()).unwrap();
            let mut ranks: Vec<_> = (0..world).map(|_| TokenStream::open(paths.clone()).unwrap()).collect();
            for _ in 0..5 {
                let take: Vec<i32> = whole.take(7 * world).unwrap().into_iter().map(i32::from).collect();
                for (r, rank) in ranks.iter_mut().enumerate() {
                    let batch = rank.batch(6, 3, r, world).unwrap();
                    let slice = &take[7 * r..7 * (r + 1)];
                    assert_eq!((batch.rows, batch.seq), (2, 3));
                    assert_eq!((&batch.inputs[..], &batch.targets[..]), (&slice[..6], &slice[1..]));
                    assert_eq!(rank.position(), whole.position());
                }
            }
        }
    }

    #[test]
    fn foreign_positions_and_shapes_are_refused() {
        let (_folder, paths) = shards(&[4, 2]);
        let mut stream = TokenStream::open(paths.clone()).unwrap();
        for (shard, offset) in [(2, 0), (1, 2), (0, u64::MAX)] {
            let error = stream.seek(Position { shard, offset, epoch: 0 }).unwrap_err();
            assert!(matches!(error, StreamError::Position { .. }), "{error}");
        }
        for (tokens, seq, rank, world) in [(6, 4, 0, 1), (0, 1, 0, 1), (6, 0, 0, 1), (6, 3, 1, 1)] {
            assert!(matches!(stream.batch(tokens, seq, rank, world), Err(StreamError::Batch { .. })));
        }
        assert_eq!(stream.position(), Position::default());
        let identity = stream.identity();
        shard::write(&paths[1], &[1, 2, 3]).unwrap();
        assert!(matches!(stream.take(6), Err(StreamError::Changed { expected: 2, got: 3, .. })));
        assert_ne!(TokenStream::open(paths).unwrap().identity(), identity);
    }
}
