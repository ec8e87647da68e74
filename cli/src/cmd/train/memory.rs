//! How many rows a GPU takes at a time, by the plans' own calculus: the most that its memory holds, before a run; the most that
//! would have fitted, when it turned out too small.

use crate::config::Config;
use crate::device::Device;
use crate::training::Footprint;
use golf_core::backend::{BackendError, Room};
use golf_core::ops::OpError;
use golf_core::train::{Recipe, TrainError};
use thiserror::Error;

/// A run that does not fit, and what would.
#[derive(Debug, Error)]
#[error("{source}\n{advice}")]
struct TooLarge {
    source: TrainError,
    advice: Advice,
}

/// What would fit into `room` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
enum Advice {
    /// A smaller micro-batch.
    #[error("hint: `--set micro_batch_rows={rows}` takes about {:.0} MB of {:.0} MB", mb(*bytes), mb(*room))]
    Rows { rows: usize, bytes: u64, room: u64 },
    /// Nothing.
    #[error("hint: even one row takes about {:.0} MB of {:.0} MB: shorten `train_seq_len`", mb(*bytes), mb(*room))]
    Nothing { bytes: u64, room: u64 },
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Part of the memory that plans may take; the rest is for code, tables and the gaps between buffers. An estimate.
const USABLE: f64 = 0.95;

/// The most rows of a micro-batch that plans of `config` have room for in `total` bytes, so that `ranks` share a step's
/// micro-batches evenly; `None` where that is not known, or nothing fits.
pub(super) fn rows(config: &Config, total: u64, ranks: usize) -> Option<usize> {
    let Recipe { train_batch_tokens, train_seq_len, .. } = config.recipe;
    let even = |rows: &usize| (train_batch_tokens / (rows * train_seq_len)).is_multiple_of(ranks);
    let fits = |rows: &usize| taken(config, *rows).is_ok_and(|bytes| bytes as f64 <= USABLE * total as f64);
    config.recipe.row_choices().filter(even).find(fits)
}

/// `error`, with advice where a GPU said that it has no memory left.
pub(super) fn explained(error: TrainError, config: &Config) -> Box<dyn std::error::Error> {
    let TrainError::Backend(BackendError::OutOfMemory { room: Some(Room { at_start, .. }), .. }) = &error
    else {
        return Box::new(error);
    };
    match advice(config, *at_start) {
        Some(advice) => Box::new(TooLarge { source: error, advice }),
        None => Box::new(error),
    }
}

/// Bytes that a run takes with micro-batches of `rows`.
fn taken(config: &Config, rows: usize) -> Result<u64, OpError> {
    Ok(Footprint::of(config, rows, Device::Cuda(None))?.peak())
}

/// What fits into `room` bytes; `None` where not memory but something else is at fault.
fn advice(config: &Config, room: u64) -> Option<Advice> {
    let now = config.recipe.rows();
    let mut bytes = taken(config, now).ok()?;
    for rows in config.recipe.row_choices().filter(|rows| *rows < now) {
        bytes = taken(config, rows).ok()?;
        if bytes as f64 <= USABLE * room as f64 {
            return Some(Advice::Rows { rows, bytes, room });
        }
    }
    Some(Advice::Nothing { bytes, room })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Given, Resolved};

    fn config() -> Config {
        let given = Given { preset: Some("nano".to_owned()), ..Given::default() };
        let mut config =
            Resolved::new::<crate::config::ConfigError>(&given, |_| Ok(0)).expect("a preset").config;
        let seq = config.recipe.train_seq_len;
        config.recipe = Recipe {
            grad_accum_steps: 1,
            train_batch_tokens: 12 * seq,
            micro_batch_rows: 12,
            ..config.recipe
        };
        config
    }

    #[test]
    fn the_largest_micro_batch_that_fits_is_named() {
        let config = config();
        let needs: Vec<u64> =
            [1, 2, 3, 4, 6, 12].map(|rows| taken(&config, rows).expect("a valid model")).into();
        assert!(needs.is_sorted_by(|a, b| a < b), "{needs:?}");
        let room = |bytes: u64| (bytes as f64 / USABLE).ceil() as u64;
        for (rows, bytes) in [(4, needs[3]), (6, needs[4]), (1, needs[0])] {
            let room = room(bytes);
            assert_eq!(advice(&config, room), Some(Advice::Rows { rows, bytes, room }));
        }
        // What does not divide a take is no choice.
        assert_eq!(
            advice(&config, room((needs[4] + needs[5]) / 2))
                .map(|a| matches!(a, Advice::Rows { rows: 6, .. })),
            Some(true)
        );
        let room = needs[0] / 2;
        assert_eq!(advice(&config, room), Some(Advice::Nothing { bytes: needs[0], room }));
    }

    #[test]
    fn a_run_takes_as_many_rows_as_fit_and_ranks_can_share() {
        let config = config();
        let need = |rows| taken(&config, rows).expect("a valid model");
        let room = |rows| (need(rows) as f64 / USABLE).ceil() as u64;
        assert_eq!(rows(&config, room(12), 1), Some(12));
        assert_eq!(rows(&config, room(12) - 1, 1), Some(6));
        // Twelve rows are one micro-batch, which two ranks cannot share; nor can five ranks any of them.
        assert_eq!(rows(&config, room(12), 2), Some(6));
        assert_eq!(rows(&config, room(12), 5), None);
        assert_eq!(rows(&config, need(1) / 2, 1), None);
    }

    #[test]
    fn only_a_gpu_that_says_how_much_there_was_is_explained() {
        let error = |room| {
            TrainError::Backend(BackendError::OutOfMemory {
                backend: "b".into(),
                what: "slot 3".into(),
                room,
            })
        };
        assert_eq!(explained(error(None), &config()).to_string().lines().count(), 2);
        let room = Room { wanted: 5_000_000, free: 1_000_000, at_start: 2_000_000_000, total: 4_000_000_000 };
        let text = explained(error(Some(room)), &config()).to_string();
        let expected = "slot 3: wanted 5.0 MB, 1.0 MB of 4000.0 MB are free (2000.0 MB at the start)";
        assert!(text.contains(expected) && text.contains("micro_batch_rows=6"), "{text}");
    }
}
