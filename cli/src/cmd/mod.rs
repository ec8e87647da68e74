//! One file per command.

pub mod bench;
pub mod first_run;
pub mod inspect;
pub mod plan;
pub mod selftest;
