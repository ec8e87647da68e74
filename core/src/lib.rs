//! golf-core: everything about a 16 MB language model that does not need a GPU.
//!
//! One model definition ([`model`]) becomes a static [`graph`] of layer-sized [`ops`], with its gradients
//! ([`autodiff`]); a [`plan`] orders it over reusable slots; any [`backend`] executes the plan. The f64
//! [`reference`](mod@reference) interpreter is the oracle that every other executor, the fast [`cpu`] one included, is tested
//! against. [`artifact`] is the file, [`eval`] the honest score, [`check`] the doubt, [`train`] the loop, [`compress`] the way
//! from weights to a number of bytes.
//!
//! This crate knows no GPU, opens no network and builds for `wasm32`.

pub mod artifact;
pub mod autodiff;
pub mod backend;
#[cfg(not(target_arch = "wasm32"))]
pub mod check;
pub mod codec;
pub mod collective;
pub mod compress;
pub mod cpu;
pub mod data;
pub mod digest;
pub mod durable;
pub mod eval;
pub mod export;
pub mod graph;
pub mod import;
pub mod model;
pub mod ops;
pub mod optim;
mod parallel;
pub mod plan;
pub mod quant;
pub mod reference;
pub mod tensor;
pub mod tokenizer;
pub mod train;
