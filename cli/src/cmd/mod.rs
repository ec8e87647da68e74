//! The commands of `golf`, one file each.

pub mod selftest;
