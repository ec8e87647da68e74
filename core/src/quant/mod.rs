//! Quantization: row quantizers, packing, fake quantization, pruning, GPTQ, and which tensor gets which. The
//! only place that knows bit layouts.
//!
//! The way of a weight: [`fake`] shows it to training as it will be stored, or [`soft`] between that and as it is; [`prune`](mod@prune) zeroes the
//! smallest; [`route`] gives its tensor a [`scheme`]; [`scheme`] or [`gptq`] turns [`rows`] into integers and
//! steps; [`export`](mod@export) does so for a whole model; [`pack`] makes words of them. All of it is exact:
//! the integers and steps equal those of the published exporters, whose arithmetic the modules state.

pub mod entropy;
pub mod export;
pub mod fake;
pub mod float;
pub mod gptq;
pub mod nibble;
pub mod pack;
pub mod prune;
pub mod quantile;
pub mod ratio;
pub mod route;
pub mod rows;
pub mod scheme;
pub mod soft;
pub mod trellis;

pub use export::{Exported, export};
pub use fake::{FakeQuantKind, FakeQuantRule, StepForm};
pub use route::{ExportRecipe, Storage};
pub use rows::{Quantized, Scales, storage_bits};
pub use scheme::Scheme;
