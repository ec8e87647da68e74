//! One file per command.

pub mod assumptions;
pub mod bench;
pub mod check;
pub mod completions;
pub mod data;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod first_run;
pub mod generate;
pub mod import;
pub mod inspect;
pub mod kernels;
pub mod load;
pub mod plan;
pub mod quantize;
pub mod report;
pub mod selftest;
pub mod stats;
pub mod submission;
pub mod train;
pub mod verify;
