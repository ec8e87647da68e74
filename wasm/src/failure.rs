//! Typed errors to JavaScript errors with a stable `code`, chosen by what happened and never by a message.

use golf_core::artifact::ArtifactError;
use golf_core::backend::BackendError;
use golf_core::eval::{EvalError, TextError, WindowError};
use golf_core::tokenizer::{CompactError, DecodeError};
use golf_wgpu::DeviceError;
use std::error::Error;
use thiserror::Error;
use wasm_bindgen::JsValue;

/// Why a call failed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("no model is loaded")]
    NoModel,
    #[error("the artifact holds no tokenizer")]
    NoTokenizer,
    #[error("the tokenizer has {pieces} pieces, the model only {vocab} rows")]
    Vocabulary { pieces: usize, vocab: usize },
    #[error("nothing has been scored without learning yet")]
    NothingScored,
    #[error("target {index} does not exist: expected below {targets}")]
    Target { index: usize, targets: usize },
    #[error("stopped as asked")]
    Aborted,
    #[error("options: {0}")]
    Options(#[from] serde_wasm_bindgen::Error),
    #[error("the callback threw")]
    Callback(JsValue),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Tokenizer(#[from] CompactError),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Eval(#[from] EvalError),
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Failure {
    /// The page chooses its words by this.
    fn code(&self) -> &'static str {
        match self {
            Failure::NoModel => "no-model",
            Failure::Aborted => "aborted",
            Failure::Device(_) => "no-adapter",
            Failure::Artifact(error) => artifact_code(error),
            Failure::NoTokenizer | Failure::Vocabulary { .. } | Failure::Tokenizer(_) => "corrupt-artifact",
            Failure::Text(TextError::Lossy(_)) => "lossy-text",
            Failure::Eval(EvalError::Backend(error)) => backend_code(error),
            Failure::Eval(EvalError::Window(WindowError::NoTargets)) => "empty-text",
            Failure::Window(WindowError::NoTargets) => "empty-text",
            Failure::Eval(EvalError::Diverged { .. } | EvalError::NotFinite { .. }) => "diverged",
            _ => "internal",
        }
    }
}

fn artifact_code(error: &ArtifactError) -> &'static str {
    match error {
        ArtifactError::Magic { .. } => "not-an-artifact",
        ArtifactError::Version { .. }
        | ArtifactError::Features { .. }
        | ArtifactError::UnknownSection { .. } => "newer-version",
        ArtifactError::Limit { .. } => "too-large",
        _ => "corrupt-artifact",
    }
}

fn backend_code(error: &BackendError) -> &'static str {
    match error {
        BackendError::Lost { .. } => "device-lost",
        BackendError::OutOfMemory { .. } => "out-of-memory",
        BackendError::TooLarge { .. } => "too-large",
        _ => "internal",
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> JsValue {
        let mut message = failure.to_string();
        let mut cause = failure.source();
        while let Some(error) = cause {
            message = format!("{message}: {error}");
            cause = error.source();
        }
        let error = js_sys::Error::new(&message);
        let set = js_sys::Reflect::set(&error, &"code".into(), &failure.code().into());
        set.expect("a new error object takes properties");
        error.into()
    }
}
