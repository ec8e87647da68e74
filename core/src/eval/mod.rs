//! The honest score: bits per byte of a model on a text, with or without score-first adaptation.
//!
//! [`windows`] plans which context each target has, [`coverage`] proves that each was scored exactly once, [`bpb`] sums,
//! [`Evaluator`] scores chunk by chunk and adapts only on what is already scored, [`receipt`] binds it all together and
//! [`resume`] carries it over a restart. [`TrainThenScore`] is the illegal order of two published systems, always marked
//! as such. [`Generator`] continues text, [`alternatives`] tells what else was likely, [`ScoredText`] is a text as a
//! stream. [`replay`](fn@replay) runs chunks of a receipt again, [`Scorer`] is what probes ask for scores.
//!
//! Everything here runs on any [`crate::backend::Backend`], and an evaluation on as many as there are ranks in a
//! [`crate::collective`]; nothing knows files of text or artifacts.

mod adapt;
mod adapt_options;
mod alternatives;
mod batches;
pub mod bpb;
pub mod coverage;
mod engine;
mod error;
mod evaluator;
mod generate;
mod ranks;
pub mod receipt;
mod replay;
pub mod resume;
mod scorer;
mod stream;
mod text;
mod train_then_score;
mod weights;
pub mod windows;

#[cfg(test)]
mod tests;

pub use adapt_options::{AdaptOptions, Trainable, TttOptimizer};
pub use alternatives::{Alternative, alternatives};
pub use bpb::Totals;
pub use coverage::{Coverage, CoverageError};
pub use error::EvalError;
pub use evaluator::{Evaluator, Scored};
pub use generate::{Generator, Sampling, context_start};
pub use ranks::share;
pub use receipt::{Marks, Method, Receipt, ReceiptError, Source};
pub use replay::{ReplayError, ReplayedChunk, replay};
pub use resume::{ResumeError, Snapshot, StateFileError};
pub use scorer::{Scorer, WindowScorer};
pub use stream::{EvalOptions, Stream};
pub use text::{ScoredText, TextError};
pub use train_then_score::{IllegalScored, TrainThenScore, TrainThenScoreOptions};
pub use weights::{ModelWeights, plain};
pub use windows::{WindowError, WindowPlan, WindowRule, WindowSpan, document_starts};
