//! The model, once: its configuration, its parameters, its graph and the published systems as presets.

pub mod config;

pub use config::ModelConfig;
