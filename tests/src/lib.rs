//! Shared pieces of the test suite: one table of cases, one tolerance, one list of backends, every parser under attack.
//!
//! Every backend is tested by the same cases against the f64 interpreter; a new op does not compile without a row in
//! [`cases`], a new backend is one row in [`backends`], a new parser of foreign bytes one in [`parsers`].

#[cfg(feature = "devices")]
pub mod backends;
pub mod cases;
pub mod draw;
pub mod models;
pub mod parsers;
pub mod run;
pub mod seeds;
pub mod tolerance;
