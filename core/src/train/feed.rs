//! The micro-batches of a step: cut from the stream for one rank, and read while the device still works on the step before.
//!
//! A [`Feed`] owns the stream. [`Feed::step`] hands out a step's micro-batches; [`Feed::read_ahead`] reads the next ones when
//! the host would only wait. There is no thread: a device works on what is queued whatever the host does.
//!
//! Invariant: reading ahead shows in nothing but time. The stream's position is that of the first step that was not handed
//! out, and what went wrong ahead is told by the step that needs those tokens, or by nobody if no step does.

use super::error::TrainError;
use super::recipe::Recipe;
use super::share::is_own_run;
use crate::data::{Batch, Position, StreamError, TokenStream};
use crate::tensor::Tensor;
use std::ops::Range;

/// How a step's tokens are cut. Rows come in takes of one token more than they hold, one per accumulation step (the
/// challenge's loader); a take is one or several micro-batches, which ranks do in turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Tokens of a take.
    take: usize,
    /// Tokens of a row.
    seq: usize,
    /// Tokens of a micro-batch.
    run: usize,
    /// Micro-batches of a step, on all ranks together.
    runs: usize,
    rank: usize,
    ranks: usize,
}

impl Cut {
    /// The cut of `recipe` for `rank` of `ranks`. Refuses a number of ranks that does not divide the micro-batches of a step.
    pub fn new(recipe: &Recipe, rank: usize, ranks: usize) -> Result<Cut, TrainError> {
        let (take, seq, runs) = (recipe.take_tokens(), recipe.train_seq_len, recipe.runs());
        if !runs.is_multiple_of(ranks) {
            return Err(TrainError::Ranks { ranks, runs });
        }
        Ok(Cut { take, seq, run: recipe.rows() * seq, runs, rank, ranks })
    }

    /// This rank's micro-batches of the take whose first one is number `first` of the step, as ranges of its tokens.
    fn own(&self, first: usize) -> Vec<Range<usize>> {
        let own = (0..self.take / self.run).filter(|run| is_own_run(first + run, self.rank, self.ranks));
        own.map(|run| run * self.run..(run + 1) * self.run).collect()
    }

    /// This rank's micro-batches of the step that begins where `stream` is, which goes on by the whole step.
    fn read(&self, stream: &mut TokenStream) -> Result<Vec<MicroBatch>, StreamError> {
        let mut micro_batches = Vec::with_capacity(self.runs / self.ranks);
        for first in (0..self.runs).step_by(self.take / self.run) {
            let own = self.own(first);
            if own.is_empty() {
                stream.skip(self.take as u64 + 1);
                continue;
            }
            let Batch { inputs, targets, .. } = stream.batch(self.take, self.seq, 0, 1)?;
            let tensor = |ids: &[i32]| Tensor::i32(&[ids.len()], ids.to_vec());
            let cut = |own: Range<usize>| MicroBatch {
                tokens: tensor(&inputs[own.clone()]),
                targets: tensor(&targets[own]),
            };
            micro_batches.extend(own.into_iter().map(cut));
        }
        Ok(micro_batches)
    }
}

/// Inputs of one run of the gradient plan, as the device takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct MicroBatch {
    /// Input ids, i32, rows one after the other.
    pub tokens: Tensor,
    /// Target ids: the token after each input.
    pub targets: Tensor,
}

/// Training tokens, step by step.
#[derive(Debug)]
pub struct Feed {
    /// Between calls at the first step that was not handed out.
    stream: TokenStream,
    ahead: Option<Ahead>,
}

/// What a step was found to hold before it was asked for.
#[derive(Debug)]
struct Ahead {
    cut: Cut,
    micro_batches: Result<Vec<MicroBatch>, StreamError>,
    /// Where the step after it begins.
    end: Position,
}

impl Feed {
    /// The steps that begin where `stream` is.
    pub fn new(stream: TokenStream) -> Feed {
        Feed { stream, ahead: None }
    }

    /// The stream, at the first step that was not handed out.
    pub fn stream(&self) -> &TokenStream {
        &self.stream
    }

    /// The same, to seek in or to read from; forgets what was read ahead.
    pub fn stream_mut(&mut self) -> &mut TokenStream {
        self.ahead = None;
        &mut self.stream
    }

    /// One rank's micro-batches of the next step. An error leaves the position where it was.
    pub fn step(&mut self, cut: &Cut) -> Result<Vec<MicroBatch>, StreamError> {
        let ahead = self.ahead.take().filter(|ahead| ahead.cut == *cut);
        let Ahead { micro_batches, end, .. } = ahead.unwrap_or_else(|| self.read(cut));
        let micro_batches = micro_batches?;
        self.stream.seek(end)?;
        Ok(micro_batches)
    }

    /// Reads what [`Feed::step`] will hand out next, unless that is done. It also keeps an error for then.
    pub fn read_ahead(&mut self, cut: &Cut) {
        if self.ahead.as_ref().is_none_or(|ahead| ahead.cut != *cut) {
            self.ahead = Some(self.read(cut));
        }
    }

    /// Reads a step and goes back to its beginning.
    fn read(&mut self, cut: &Cut) -> Ahead {
        let begin = self.stream.position();
        let micro_batches = cut.read(&mut self.stream);
        let end = self.stream.position();
        self.stream.seek(begin).expect("the stream was there");
        Ahead { cut: cut.clone(), micro_batches, end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::shard;
    use std::path::{Path, PathBuf};

    /// Steps of 48 tokens in 2 takes of 24, each of 3 micro-batches of 2 rows of 4.
    fn recipe() -> Recipe {
        Recipe {
            train_batch_tokens: 48,
            grad_accum_steps: 2,
            train_seq_len: 4,
            micro_batch_rows: 2,
            ..Recipe::default()
        }
    }

    /// Tokens of a step of [`recipe`] in the stream.
    const STEP: u64 = 2 * 25;

    fn cut(rank: usize, ranks: usize) -> Cut {
        Cut::new(&recipe(), rank, ranks).expect("a divisor of 6")
    }

    /// Shards of the given lengths, with ids that count on through all of them.
    fn shards(folder: &Path, lengths: &[usize]) -> Vec<PathBuf> {
        let mut next = 0..;
        let write = |(i, &length): (usize, &usize)| {
            let path = folder.join(format!("t_train_{i:06}.bin"));
            let tokens: Vec<u16> = next.by_ref().take(length).collect();
            shard::write(&path, &tokens).expect("a shard is written");
            path
        };
        lengths.iter().enumerate().map(write).collect()
    }

    fn feed(paths: &[PathBuf]) -> Feed {
        Feed::new(TokenStream::open(paths.to_vec()).expect("the shards open"))
    }

    fn ids(tensor: &Tensor) -> Vec<u16> {
        tensor.i32s().iter().map(|&id| id as u16).collect()
    }

    #[test]
    fn micro_batches_are_the_ranks_turns_in_each_take() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = shards(folder.path(), &[100]);
        for ranks in [1, 2, 3, 6] {
            let mut seen = Vec::new();
            for rank in 0..ranks {
                let step = feed(&paths).step(&cut(rank, ranks)).expect("tokens");
                assert_eq!(step.len(), 6 / ranks);
                for (m, micro_batch) in step.iter().enumerate() {
                    let run = m * ranks + rank;
                    let first = (run / 3 * 25 + run % 3 * 8) as u16;
                    assert_eq!(ids(&micro_batch.tokens), (first..first + 8).collect::<Vec<_>>(), "run {run}");
                    assert_eq!(ids(&micro_batch.targets), (first + 1..first + 9).collect::<Vec<_>>());
                    seen.push(run);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4, 5], "{ranks} ranks");
        }
        let refused = Cut::new(&recipe(), 0, 4).expect_err("4 does not divide 6");
        assert!(matches!(refused, TrainError::Ranks { ranks: 4, runs: 6 }), "{refused}");
    }

    #[test]
    fn reading_ahead_changes_no_batch_and_no_position() {
        let folder = tempfile::tempdir().expect("a folder");
        // Steps end within shards, at their ends, and several times in each other's epochs.
        let paths = shards(folder.path(), &[30, 70, 7, 1, 42]);
        for (rank, ranks) in [(0, 1), (1, 2), (2, 3), (5, 6)] {
            let cut = cut(rank, ranks);
            let (mut plain, mut ahead) = (feed(&paths), feed(&paths));
            let mut walker = TokenStream::open(paths.clone()).expect("the shards open");
            for step in 0..12 {
                for _ in 0..step % 3 {
                    ahead.read_ahead(&cut);
                    assert_eq!(ahead.stream().position(), walker.position(), "ahead of step {step}");
                }
                assert_eq!(plain.step(&cut).expect("tokens"), ahead.step(&cut).expect("tokens"));
                walker.skip(STEP);
                assert_eq!(plain.stream().position(), walker.position());
                assert_eq!(ahead.stream().position(), walker.position());
            }
            assert_eq!(walker.position().epoch, 4);
        }
    }

    #[test]
    fn what_was_read_ahead_is_not_handed_out_elsewhere_or_to_another_rank() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = shards(folder.path(), &[60, 80]);
        let mut feed = feed(&paths);
        let first = |micro_batches: Vec<MicroBatch>| ids(&micro_batches[0].tokens)[0];
        feed.read_ahead(&cut(0, 2));
        let position = Position { shard: 1, offset: 10, epoch: 3 };
        feed.stream_mut().seek(position).expect("it is there");
        feed.read_ahead(&cut(0, 2));
        assert_eq!(feed.stream().position(), position);
        assert_eq!(first(feed.step(&cut(1, 2)).expect("tokens")), 70 + 8);
        feed.read_ahead(&cut(0, 2));
        assert_eq!(
            feed.stream_mut().take(1).expect("a token"),
            [120],
            "calibration goes on where training ended"
        );
    }

    #[test]
    fn an_error_ahead_is_told_by_the_step_that_needs_the_tokens() {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = shards(folder.path(), &[120, 120]);
        let cut = cut(0, 1);
        let mut feed = feed(&paths);
        for _ in 0..2 {
            feed.read_ahead(&cut);
            feed.step(&cut).expect("tokens of the first shard");
        }
        let position = feed.stream().position();
        shard::write(&paths[1], &[1, 2, 3]).expect("a shard is written");
        feed.read_ahead(&cut);
        assert_eq!(
            feed.stream().position(),
            position,
            "a checkpoint at this moment resumes before the error"
        );
        let error = feed.step(&cut).expect_err("the second shard changed");
        assert!(matches!(error, StreamError::Changed { expected: 120, got: 3, .. }), "{error}");
        assert_eq!(feed.stream().position(), position);
        std::fs::remove_file(&paths[1]).expect("it was there");
        let error = feed.step(&cut).expect_err("the second shard vanished");
        assert!(matches!(error, StreamError::Shard(_)), "{error}");
        shards(folder.path(), &[120, 120]);
        assert_eq!(feed.step(&cut).expect("it is back").len(), 6);
        std::fs::remove_file(&paths[0]).expect("it was there");
        feed.step(&cut).expect("the rest of the second shard");
        feed.read_ahead(&cut);
        assert_eq!(feed.stream_mut().take(40).expect("what is left before it")[39], 239);
    }
}
