//! One file per command.

pub mod bench;
pub mod doctor;
pub mod eval;
pub mod first_run;
pub mod import;
pub mod inspect;
pub mod load;
pub mod plan;
pub mod report;
pub mod selftest;
pub mod train;
