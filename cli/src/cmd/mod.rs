//! One file per command.

pub mod assumptions;
pub mod bench;
pub mod doctor;
pub mod eval;
pub mod export;
pub mod first_run;
pub mod import;
pub mod inspect;
pub mod load;
pub mod plan;
pub mod quantize;
pub mod selftest;
pub mod train;
