//! The command line of golf: one library, three thin binaries (`golf`, `golf-train`, `golf-eval`).
//!
//! Every command is one file in [`cmd`]; what they share is how they end ([`exit`]) and which device they run on
//! ([`device`]). No model logic lives here.

pub mod cmd;
pub mod config;
pub mod device;
pub mod exit;
pub mod selftest;
