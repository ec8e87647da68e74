//! The artifact: a whole model in one small file, and the only form in which models are passed on.
//!
//! An [`Artifact`] holds the configuration, the tensors (quantized rows with fp16 scales, fp16, fp32), the
//! tokenizer and where it all came from. [`layout`] states the bytes; [`limits`] what a reader is willing to spend.
//!
//! Invariant: [`Artifact::decode`] of any bytes returns an artifact that passes [`Artifact::check`] or an error,
//! never panics, and allocates no more than its [`Limits`] allow. `decode(encode(x)) = x`, and encoding that again
//! gives the same bytes. Every number is finite, every integer fits its width.
//!
//! It does not know which tensors a configuration needs (that is [`crate::model`]'s), what a tokenizer's bytes mean,
//! or how weights become integers ([`crate::quant`]).

#![deny(unsafe_code)]

mod compress;
mod container;
mod digest;
mod error;
pub mod layout;
pub mod limits;
mod provenance;
mod reader;
mod size;
mod streams;
mod summary;
mod symbols;
mod table;
mod tensor;
#[cfg(test)]
mod tests;
mod writer;

pub use error::ArtifactError;
pub use limits::Limits;
pub use provenance::Provenance;
pub use summary::{SectionSummary, Summary, TensorSummary, decode_with_summary, summary};
pub use symbols::{SymbolStream, symbol_streams};
pub use tensor::{ArtifactTensor, TensorData};

use crate::model::ModelConfig;

/// A model as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// Structure of the model.
    pub config: ModelConfig,
    /// Tensors in ascending byte order of their names, no two alike.
    pub tensors: Vec<ArtifactTensor>,
    /// Compact tokenizer, opaque here; not empty.
    pub tokenizer: Option<Vec<u8>>,
    /// SHA-256 that names the tokenizer, with or without its bytes.
    pub tokenizer_identity: Option<[u8; 32]>,
    /// Where the model came from.
    pub provenance: Option<Provenance>,
}

impl Artifact {
    /// The file's bytes: canonical, see [`layout`]. Takes about a tenth of a second per million weights and core.
    ///
    /// Errors: whatever [`Self::check`] finds, and sizes beyond the default [`Limits`].
    pub fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        writer::encode(self)
    }

    /// Reads a file's bytes within `limits`.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, ArtifactError> {
        reader::decode(bytes, limits)
    }

    /// Whether `bytes` begin like an artifact, sound or not.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&layout::MAGIC)
    }

    /// Checks everything that a file must satisfy except sizes: configuration, names, shapes, ranges, finiteness.
    pub fn check(&self) -> Result<(), ArtifactError> {
        self.config.check()?;
        if let Some(provenance) = &self.provenance {
            provenance.check()?;
        }
        table::check(&self.tensors.iter().map(ArtifactTensor::entry).collect::<Vec<_>>())?;
        self.tensors.iter().try_for_each(ArtifactTensor::check)
    }

    /// SHA-256 of the content: configuration, tensors, tokenizer, provenance. It does not depend on codecs or on the
    /// order of anything in the file; [`layout`] defines it.
    pub fn content_hash(&self) -> [u8; 32] {
        digest::content(self)
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&ArtifactTensor> {
        let at = self.tensors.binary_search_by(|t| t.name.as_str().cmp(name)).ok()?;
        self.tensors.get(at)
    }
}
