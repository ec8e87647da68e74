//! Shared pieces of the test suite: the parsers under attack and the inputs that they accept.

pub mod parsers;
pub mod seeds;
