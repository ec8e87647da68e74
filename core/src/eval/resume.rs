//! The state of an evaluation between two chunks, as one file.
//!
//! A safetensors file holds the adapted parameters and the optimizer's moments; its metadata hold the run's
//! description, the receipt so far and a SHA-256 over all of it. A file is written beside its final name, synced and
//! renamed, so a kill at any moment leaves the old state or the new one. A resumed run gives the receipt of an
//! uninterrupted one, bit for bit, on a deterministic backend.

use super::receipt::{ChunkRecord, RunRecord, first_link, link};
use crate::digest::hex;
use crate::durable::replace;
use crate::tensor::{Data, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Key of the metadata that hold the description.
const STATE_KEY: &str = "golf.eval.state";
/// Key of the metadata that hold the digest.
const DIGEST_KEY: &str = "golf.eval.sha256";

/// What a later process needs to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The run.
    pub run: RunRecord,
    /// Records of the committed chunks.
    pub records: Vec<ChunkRecord>,
    /// Optimizer steps taken.
    pub steps: u64,
    /// Adapted parameters and moments.
    pub states: BTreeMap<String, Tensor>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    run: RunRecord,
    records: Vec<ChunkRecord>,
    steps: u64,
}

/// Why a saved state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// No safetensors file.
    #[error("evaluation state: not a safetensors file: {reason}")]
    Format {
        /// What the parser said.
        reason: String,
    },
    /// A safetensors file of another kind.
    #[error("evaluation state: metadata `{key}` are missing or damaged")]
    Metadata {
        /// The key.
        key: &'static str,
    },
    /// The digest is not that of the content.
    #[error("evaluation state: expected SHA-256 `{expected}`, got `{got}`")]
    Digest {
        /// As stored.
        expected: String,
        /// As computed.
        got: String,
    },
    /// A tensor of a type that no state has.
    #[error("evaluation state: tensor `{name}` has type {dtype}, expected F32 or F64")]
    Type {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// The state belongs to another run.
    #[error(
        "evaluation state: it belongs to another run: `{field}` differs\nhint: resume with the flags that it was started with"
    )]
    OtherRun {
        /// The first field that differs.
        field: String,
    },
    /// The chain of records is broken or too long.
    #[error("evaluation state: the record of chunk {chunk} does not continue the chain")]
    Chain {
        /// The chunk.
        chunk: usize,
    },
    /// A state that the optimizer needs is not there.
    #[error("evaluation state: tensor `{name}` is missing")]
    MissingState {
        /// Its name.
        name: String,
    },
    /// The parameters are not those that the last record names.
    #[error("evaluation state: the parameters are not those after chunk {chunk}")]
    Weights {
        /// The last committed chunk.
        chunk: usize,
    },
}

impl Snapshot {
    /// Checks that the snapshot continues `run`, whose stream has `chunks` chunks.
    pub(super) fn check(&self, run: &RunRecord, chunks: usize) -> Result<(), ResumeError> {
        if let Some(field) = first_difference(&self.run, run) {
            return Err(ResumeError::OtherRun { field });
        }
        let mut previous = first_link(run);
        for (chunk, record) in self.records.iter().enumerate() {
            if record.index != chunk || chunk >= chunks || record.link != link(&previous, record) {
                return Err(ResumeError::Chain { chunk });
            }
            previous.clone_from(&record.link);
        }
        Ok(())
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let description =
            Description { run: self.run.clone(), records: self.records.clone(), steps: self.steps };
        let json = serde_json::to_string(&description).expect("plain structs have a JSON form");
        let raw: Vec<(&String, Dtype, &[usize], Vec<u8>)> =
            self.states.iter().map(|(name, tensor)| entry(name, tensor)).collect();
        let views = raw.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.to_vec(), bytes);
            ((*name).clone(), view.expect("a tensor's bytes fill its shape"))
        });
        let views: Vec<(String, TensorView<'_>)> = views.collect();
        let digest = digest(&json, views.iter().map(|(name, view)| (name.as_str(), view)));
        let metadata = HashMap::from([(STATE_KEY.to_owned(), json), (DIGEST_KEY.to_owned(), digest)]);
        safetensors::serialize(views, Some(metadata)).expect("names are distinct and sizes fit")
    }

    /// Reads a file's bytes; nothing in them is trusted before the digest is checked.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ResumeError> {
        let format = |error: safetensors::SafeTensorError| ResumeError::Format { reason: error.to_string() };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(format)?;
        let file = SafeTensors::deserialize(bytes).map_err(format)?;
        let missing = |key| ResumeError::Metadata { key };
        let metadata = header.metadata().as_ref().ok_or(missing(STATE_KEY))?;
        let json = metadata.get(STATE_KEY).ok_or(missing(STATE_KEY))?;
        let expected = metadata.get(DIGEST_KEY).ok_or(missing(DIGEST_KEY))?.clone();
        let views: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
        let got = digest(json, views.iter().map(|(name, view)| (name.as_str(), view)));
        if got != expected {
            return Err(ResumeError::Digest { expected, got });
        }
        let Description { run, records, steps } =
            serde_json::from_str(json).map_err(|_| missing(STATE_KEY))?;
        let states = views.iter().map(|(name, view)| Ok((name.clone(), tensor(name, view)?)));
        Ok(Self { run, records, steps, states: states.collect::<Result<_, ResumeError>>()? })
    }
}

fn entry<'t>(name: &'t String, tensor: &'t Tensor) -> (&'t String, Dtype, &'t [usize], Vec<u8>) {
    let (dtype, bytes) = match tensor.data() {
        Data::F32(values) => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Data::F64(values) => (Dtype::F64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Data::I32(_) | Data::Packed(_) => unreachable!("adapted parameters and moments are plain floats"),
    };
    (name, dtype, tensor.shape(), bytes)
}

fn tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor, ResumeError> {
    let (shape, bytes) = (view.shape(), view.data());
    match view.dtype() {
        Dtype::F32 => {
            let values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            Ok(Tensor::f32(shape, values.collect()))
        }
        Dtype::F64 => {
            let values = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
            Ok(Tensor::f64(shape, values.collect()))
        }
        other => Err(ResumeError::Type { name: name.to_owned(), dtype: format!("{other:?}") }),
    }
}

fn digest<'t>(json: &str, tensors: impl Iterator<Item = (&'t str, &'t TensorView<'t>)>) -> String {
    let mut hash = Sha256::new();
    hash.update((json.len() as u64).to_le_bytes());
    hash.update(json);
    for (name, view) in tensors {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(format!("{:?}{:?}", view.dtype(), view.shape()));
        hash.update(view.data());
    }
    hex(&hash.finalize())
}

/// Name of the first field in which two descriptions differ.
fn first_difference(a: &RunRecord, b: &RunRecord) -> Option<String> {
    let json = |run| serde_json::to_value(run).expect("plain structs have a JSON form");
    let (a, b) = (json(a), json(b));
    let (a, b) = (a.as_object()?, b.as_object()?);
    a.iter().find(|(key, value)| b.get(*key) != Some(value)).map(|(key, _)| key.clone())
}

/// Why a state file could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateFileError {
    /// The system refused.
    #[error("evaluation state `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is unusable.
    #[error("`{}`: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ResumeError,
    },
}

impl Snapshot {
    /// Writes the state so that a kill at any moment leaves a whole file under `path`, the old or the new one.
    pub fn save(&self, path: &Path) -> Result<(), StateFileError> {
        let fail = |source| StateFileError::Io { path: path.to_path_buf(), source };
        replace(path, &self.to_bytes()).map_err(fail)
    }

    /// Reads a state.
    pub fn load(path: &Path) -> Result<Self, StateFileError> {
        let io = |source| StateFileError::Io { path: path.to_path_buf(), source };
        let bytes = std::fs::read(path).map_err(io)?;
        Self::from_bytes(&bytes)
            .map_err(|source| StateFileError::Content { path: path.to_path_buf(), source })
    }
}
