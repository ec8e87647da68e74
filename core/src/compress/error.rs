//! Why weights could not be compressed.

use crate::artifact::ArtifactError;
use crate::backend::BackendError;
use crate::eval::EvalError;
use crate::ops::OpError;
use crate::quant::export::ExportError;
use crate::quant::gptq::GptqError;
use thiserror::Error;

/// Why weights could not be compressed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompressError {
    /// Graph construction: a configuration that passed its checks builds, so this names our own mistake.
    #[error(transparent)]
    Graph(#[from] OpError),
    /// The device.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Generating calibration text.
    #[error("calibration text: {0}")]
    Generate(#[source] Box<EvalError>),
    /// A value that no file can hold.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A Hessian that does not belong to its matrix.
    #[error("`{tensor}`: {source}")]
    Gptq {
        /// Parameter.
        tensor: String,
        /// What is wrong.
        source: GptqError,
    },
    /// A method that needs what was not measured.
    #[error("`{tensor}`: `{method}` needs calibration\nhint: give it text, or choose `nearest`")]
    NotCalibrated {
        /// Parameter.
        tensor: String,
        /// The method.
        method: &'static str,
    },
    /// Calibration text without a row.
    #[error("calibration text of {tokens} tokens: expected at least {needed}")]
    TooShort {
        /// Tokens there.
        tokens: usize,
        /// Tokens of one row and its last target.
        needed: usize,
    },
    /// Calibration of a model that predicts nothing: its statistics are not numbers.
    #[error(
        "calibration: the loss is {loss}, expected a finite number\nhint: the weights are damaged, or not those of this configuration"
    )]
    NotFinite {
        /// Mean nll in nats.
        loss: f64,
    },
    /// A target below what the narrowest widths need.
    #[error(
        "cannot reach {target} bytes: the narrowest widths give {smallest}\nhint: allow narrower tensors, or train a smaller model"
    )]
    OutOfReach {
        /// Bytes asked for.
        target: u64,
        /// Bytes of the smallest file tried.
        smallest: u64,
    },
}
