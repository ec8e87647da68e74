//! Why a part of a fixture could not be replayed. A fault is a miss of that part, never the end of the run.

use golf_core::backend::BackendError;
use golf_core::eval::{EvalError, WindowError};
use golf_core::model::config::ConfigError;
use golf_core::ops::OpError;
use golf_core::quant::export::ExportError;
use golf_core::quant::gptq::GptqError;
use golf_core::tokenizer::TokenizerError;
use thiserror::Error;

/// What stopped a part of a replay.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The tensor file cannot be parsed.
    #[error("the tensor file is not valid safetensors: {0}")]
    TensorFile(#[from] safetensors::SafeTensorError),
    /// The JSON file cannot be parsed.
    #[error("the JSON file is not valid: {0}")]
    JsonFile(#[from] serde_json::Error),
    /// A file cannot be read.
    #[error("`{path}`: {source}")]
    File {
        /// Path of the file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A case lacks one of its files.
    #[error("expected {expected}")]
    MissingFile {
        /// What should be there.
        expected: String,
    },
    /// A tensor that the layout asks for is not there.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has another element type.
    #[error("tensor `{name}`: expected {expected}, got {got}")]
    TensorType {
        /// Its name.
        name: String,
        /// Element types that would do.
        expected: &'static str,
        /// Its element type.
        got: String,
    },
    /// A tensor has another shape.
    #[error("tensor `{name}`: expected shape {expected:?}, got {got:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// Shape that follows from the rest of the fixture.
        expected: Vec<usize>,
        /// Its shape.
        got: Vec<usize>,
    },
    /// A JSON field that the layout asks for is not there.
    #[error("field `{path}` is missing")]
    MissingField {
        /// Path from the root.
        path: String,
    },
    /// A JSON field has another type.
    #[error("field `{path}`: {source}, got {got}")]
    FieldType {
        /// Path from the root.
        path: String,
        /// Its value.
        got: String,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A JSON field has a value that the replay does not know.
    #[error("field `{path}`: expected {expected}, got {got}")]
    FieldValue {
        /// Path from the root.
        path: String,
        /// What would do.
        expected: String,
        /// Its value.
        got: String,
    },
    /// A tensor's name has a part that the replay does not know.
    #[error("tensor `{name}`: expected {expected}")]
    TensorName {
        /// Its name.
        name: String,
        /// What would do.
        expected: &'static str,
    },
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A graph could not be built.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The device does not open.
    #[error(transparent)]
    Device(#[from] crate::device::OpenError),
    /// The backend refused.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The exporter refused.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The evaluator refused.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The windows make no plan.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// The vocabulary is no tokenizer.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// GPTQ refused.
    #[error(transparent)]
    Gptq(#[from] GptqError),
}
