//! Training on any backend: from token shards to an artifact, inside a wall-clock budget.
//!
//! [`recipe`] says how (and [`presets`] how the published systems did), [`groups`] turns it into optimizer groups,
//! [`schedule`] into numbers of a step, [`feed`] into micro-batches, [`trainer`] performs one step on a [`crate::backend::Backend`], [`session`] is the
//! loop around it (clock, validation, checkpoints, signals), [`checkpoint`] the file that a run resumes from,
//! [`finish`](mod@finish) what happens once: average, prune, quantize, write. [`metrics`] are the events that all of this tells.
//! [`share`] is what changes when several ranks of a [`crate::collective::Collective`] train one model.
//!
//! Invariants: a run that is killed and resumed ends in the same bytes as one that is not (when its schedule does not
//! follow the wall clock); nothing on disk is ever replaced by something that is not complete and durable; the artifact is
//! written before anything is evaluated. Nothing here prints or reads the environment.

mod average;
pub mod checkpoint;
pub mod clock;
mod divergence;
mod error;
pub mod feed;
pub mod finish;
pub mod groups;
pub mod identity;
pub mod metrics;
pub mod presets;
mod ranks;
pub mod recipe;
mod resume;
pub mod schedule;
pub mod session;
pub mod share;
pub mod trainer;
pub mod validation;

pub use error::{NonFinite, TrainError};
pub use presets::{Preset, preset};
pub use recipe::Recipe;
