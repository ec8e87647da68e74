//! From float weights to an artifact's tensors, under a budget of bytes.
//!
//! [`calibrate`](mod@calibrate) runs the model on text and keeps what tells how much an error in a weight costs;
//! [`round`](mod@round) turns one tensor into integers, with or without that knowledge; [`planner`] predicts bytes and loss
//! of every width a tensor could have and chooses; [`fit`](mod@fit) does so until the encoded file is as small as asked.
//!
//! Invariant: everything is a deterministic function of weights, calibration and options; held-out text never enters.
//! Bit layouts and grids are [`crate::quant`]'s, bytes are [`crate::artifact`]'s.

pub mod calibrate;
mod error;
pub mod fit;
pub mod planner;
pub mod prune;
pub mod round;

pub use calibrate::{Calibration, Importance};
pub use error::CompressError;
pub use fit::{Budget, Fitted, fit};
pub use planner::{Family, Plan, TensorPlan};
pub use round::{Method, round};
