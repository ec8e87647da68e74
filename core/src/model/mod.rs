//! The model, once: its configuration, its parameters, its graph and the published systems as presets.
//!
//! [`config`] is the closed schema, [`params`] what a configuration owns, [`init`] how training starts, [`gpt`] the one
//! definition of the forward pass, [`graphs`] the graphs that scoring, generation and training ask for, [`calibration`] the
//! one that measures what quantization costs.

pub mod calibration;
pub mod config;
pub mod gpt;
pub mod graphs;
pub mod init;
pub mod params;
pub mod presets;

pub use config::ModelConfig;
pub use params::{Param, Role, parameters};
