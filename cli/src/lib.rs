//! The command line of golf: one library, three thin binaries (`golf`, `golf-train`, `golf-eval`).
//!
//! Every command is one file in [`cmd`]; what they share is how they end ([`exit`]), which device they run on
//! ([`device`], [`flags`]), which model ([`model`]), as which of several processes ([`ranks`]) and how they print measurements ([`table`], [`samples`]), what they infer from several runs ([`statistics`]). No model logic lives here.

pub mod cmd;
pub mod config;
pub mod device;
pub mod exit;
pub mod flags;
pub mod model;
pub mod peaks;
pub mod ranks;
pub mod samples;
pub mod selftest;
pub mod size;
pub mod source;
pub mod statistics;
pub mod table;
pub mod training;
