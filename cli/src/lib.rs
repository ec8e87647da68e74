//! Command-line front end.
//!
//! Invariant: commands print and set exit codes; what they do lives in `golf-core`.

pub mod cmd;
pub mod selftest;
