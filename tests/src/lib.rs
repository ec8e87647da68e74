//! Shared pieces of the test suite: one table of cases, one tolerance, one list of backends.
//!
//! Every backend is tested by the same cases against the f64 interpreter; a new op does not compile without a row in
//! [`cases`], a new backend is one row in [`backends`].

pub mod backends;
pub mod cases;
pub mod draw;
pub mod run;
pub mod tolerance;
