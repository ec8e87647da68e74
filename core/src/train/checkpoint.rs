//! Checkpoints: everything that a run depends on, in one file, complete or absent.
//!
//! `checkpoint-<step>.safetensors` holds every state as the backend has it (f64 from the oracle, f32 elsewhere) and in its
//! metadata the JSON of [`Meta`] and a SHA-256 over that JSON and all names, types, shapes and bytes. Nothing random is left
//! to save: initial weights follow from the seed, and the data from the position.
//!
//! Invariant: a file is replaced or removed only after a newer one is durable; one that does not match its digest is never
//! used.

use super::clock::Used;
use super::recipe::Recipe;
use super::trainer::Progress;
use crate::data::Position;
use crate::digest::hex;
use crate::durable;
use crate::model::ModelConfig;
use crate::tensor::{Data, Tensor};
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Version of [`Meta`].
const VERSION: u32 = 1;
/// Metadata key of the JSON of [`Meta`].
const META: &str = "golf.checkpoint";
/// Metadata key of the digest.
const DIGEST: &str = "golf.sha256";

/// What a checkpoint says beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// 1.
    pub version: u32,
    /// Hash of model and recipe.
    pub config_hash: String,
    /// Identity of the training shards.
    pub data: String,
    /// Next token of the stream.
    pub position: Position,
    /// Counters.
    pub progress: Progress,
    /// Budget used.
    pub used: Used,
    /// Model and recipe, so that the file alone says what its states are; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<RunConfig>,
}

/// Model and recipe of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Structure.
    pub model: ModelConfig,
    /// Training.
    pub recipe: Recipe,
}

impl Meta {
    /// Meta data of the current version.
    pub fn new(config_hash: &str, data: &str, position: Position, progress: Progress, used: Used) -> Self {
        let (config_hash, data) = (config_hash.to_owned(), data.to_owned());
        Self { version: VERSION, config_hash, data, position, progress, used, config: None }
    }
}

/// A moment of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Counters and identities.
    pub meta: Meta,
    /// States by name.
    pub states: Vec<(String, Tensor)>,
}

/// Why a checkpoint was not written or not used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `write`, `list`, `remove`.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Not a safetensors file, or a torn one.
    #[error("checkpoint `{}`: {source}", path.display())]
    Container {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SafeTensorError,
    },
    /// A safetensors file of another program.
    #[error("`{}` is no checkpoint: expected metadata `{key}`", path.display())]
    NoMetadata {
        /// The file.
        path: PathBuf,
        /// The missing key.
        key: &'static str,
    },
    /// Metadata that cannot be read.
    #[error("checkpoint `{}`: metadata: {source}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another version.
    #[error("checkpoint `{}`: expected version {VERSION}, got {got}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        got: u32,
    },
    /// Bytes that changed since they were written.
    #[error("checkpoint `{}` is damaged: expected SHA-256 {expected}, got {got}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// As written.
        expected: String,
        /// As read.
        got: String,
    },
    /// A tensor type that no run has.
    #[error("checkpoint `{}`: state `{name}`: expected F32 or F64, got {got:?}", path.display())]
    StateType {
        /// The file.
        path: PathBuf,
        /// The state.
        name: String,
        /// Its type.
        got: Dtype,
    },
    /// A checkpoint of another configuration.
    #[error("checkpoint `{}` is of another configuration: expected {expected}, got {got}\nhint: repeat the settings of that run, or choose another output folder", path.display())]
    OtherConfig {
        /// The file.
        path: PathBuf,
        /// Hash of this run.
        expected: String,
        /// Hash in the file.
        got: String,
    },
    /// A checkpoint over other shards.
    #[error("checkpoint `{}` is over other training shards: expected {expected}, got {got}\nhint: restore the shards of that run, or choose another output folder", path.display())]
    OtherData {
        /// The file.
        path: PathBuf,
        /// Identity of this run's shards.
        expected: String,
        /// Identity in the file.
        got: String,
    },
    /// A checkpoint without one of the states of this run, or with more.
    #[error("checkpoint `{}`: expected {expected} states, got {got}", path.display())]
    States {
        /// The file.
        path: PathBuf,
        /// States of this run.
        expected: usize,
        /// States in the file that belong to it.
        got: usize,
    },
}

impl CheckpointError {
    /// Whether the file is sound but belongs to another run: no reason to look at older ones.
    pub fn is_foreign(&self) -> bool {
        matches!(self, CheckpointError::OtherConfig { .. } | CheckpointError::OtherData { .. })
    }
}

/// File name of the checkpoint after `step` steps.
pub fn file_name(step: u64) -> String {
    format!("checkpoint-{step:08}.safetensors")
}

/// Checkpoints in `folder`, newest first. A folder that does not exist has none.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let fail = |source| CheckpointError::Io { path: folder.to_path_buf(), action: "list", source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let number = name.strip_prefix("checkpoint-").and_then(|n| n.strip_suffix(".safetensors"));
        if let Some(step) = number.and_then(|n| n.parse::<u64>().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}

impl Checkpoint {
    /// Writes the checkpoint into `folder`, then removes all but the newest `keep`; its path.
    pub fn save(&self, folder: &Path, keep: usize) -> Result<PathBuf, CheckpointError> {
        let path = folder.join(file_name(self.meta.progress.step));
        let write = |source| CheckpointError::Io { path: path.clone(), action: "write", source };
        durable::replace(&path, &self.encode(&path)?).map_err(write)?;
        for old in list(folder)?.into_iter().skip(keep.max(1)) {
            let remove = |source| CheckpointError::Io { path: old.clone(), action: "remove", source };
            fs::remove_file(&old).map_err(remove)?;
        }
        Ok(path)
    }

    /// Reads and verifies one file.
    pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
        let read = |source| CheckpointError::Io { path: path.to_path_buf(), action: "read", source };
        Checkpoint::decode(path, &fs::read(path).map_err(read)?)
    }

    /// Refuses a checkpoint of another configuration or over other shards.
    pub fn check_identity(&self, path: &Path, config_hash: &str, data: &str) -> Result<(), CheckpointError> {
        let (path, meta) = (path.to_path_buf(), &self.meta);
        if meta.config_hash != config_hash {
            let (expected, got) = (config_hash.to_owned(), meta.config_hash.clone());
            return Err(CheckpointError::OtherConfig { path, expected, got });
        }
        if meta.data != data {
            let (expected, got) = (data.to_owned(), meta.data.clone());
            return Err(CheckpointError::OtherData { path, expected, got });
        }
        Ok(())
    }

    fn encode(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let meta = serde_json::to_string(&self.meta).expect("metadata is plain numbers and strings");
        let mut raw: Vec<Raw> = self.states.iter().map(|(name, tensor)| Raw::of(name, tensor)).collect();
        raw.sort_by(|a, b| a.name.cmp(&b.name));
        let metadata = HashMap::from([(DIGEST.to_owned(), digest(&meta, &raw)), (META.to_owned(), meta)]);
        let container = |source| CheckpointError::Container { path: path.to_path_buf(), source };
        let mut views = Vec::with_capacity(raw.len());
        for tensor in &raw {
            let view =
                TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).map_err(container)?;
            views.push((tensor.name.as_str(), view));
        }
        safetensors::serialize(views, Some(metadata)).map_err(container)
    }

    fn decode(path: &Path, bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let container = |source| CheckpointError::Container { path: path.to_path_buf(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let file = SafeTensors::deserialize(bytes).map_err(container)?;
        let of = |key: &'static str| {
            let value = header.metadata().as_ref().and_then(|m| m.get(key)).cloned();
            value.ok_or_else(|| CheckpointError::NoMetadata { path: path.to_path_buf(), key })
        };
        let (text, expected) = (of(META)?, of(DIGEST)?);
        let mut raw = Vec::new();
        for (name, view) in file.iter() {
            let (dtype, shape, bytes) = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
            raw.push(Raw { name: name.to_owned(), dtype, shape, bytes });
        }
        raw.sort_by(|a, b| a.name.cmp(&b.name));
        let got = digest(&text, &raw);
        if got != expected {
            return Err(CheckpointError::Damaged { path: path.to_path_buf(), expected, got });
        }
        let metadata = |source| CheckpointError::Metadata { path: path.to_path_buf(), source };
        let meta: Meta = serde_json::from_str(&text).map_err(metadata)?;
        if meta.version != VERSION {
            return Err(CheckpointError::Version { path: path.to_path_buf(), got: meta.version });
        }
        let states = raw.into_iter().map(|tensor| tensor.into_state(path)).collect::<Result<_, _>>()?;
        Ok(Checkpoint { meta, states })
    }
}

/// A state as bytes.
struct Raw {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Raw {
    fn of(name: &str, tensor: &Tensor) -> Raw {
        let (dtype, bytes) = match tensor.data() {
            Data::F32(values) => (Dtype::F32, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Data::F64(values) => (Dtype::F64, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Data::I32(_) | Data::Packed(_) => panic!("state `{name}` of a run is not a float"),
        };
        Raw { name: name.to_owned(), dtype, shape: tensor.shape().to_vec(), bytes }
    }

    fn into_state(self, path: &Path) -> Result<(String, Tensor), CheckpointError> {
        let (Raw { name, shape, bytes, .. }, path) = (&self, path.to_path_buf());
        let four = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("chunks of 4 bytes"));
        let eight = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("chunks of 8 bytes"));
        let tensor = match self.dtype {
            Dtype::F32 => Tensor::f32(shape, bytes.chunks_exact(4).map(four).collect()),
            Dtype::F64 => Tensor::f64(shape, bytes.chunks_exact(8).map(eight).collect()),
            got => return Err(CheckpointError::StateType { path, name: name.clone(), got }),
        };
        Ok((self.name, tensor))
    }
}

/// SHA-256 (hex) over metadata and tensors in the given order.
fn digest(meta: &str, tensors: &[Raw]) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(meta.as_bytes());
    for tensor in tensors {
        part(tensor.name.as_bytes());
        part(format!("{:?}{:?}", tensor.dtype, tensor.shape).as_bytes());
        part(&tensor.bytes);
    }
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(step: u64) -> Checkpoint {
        let progress = Progress { step, fake_quant: true, averaged: 3 };
        let used = Used { train: 0.1 + 0.2, ..Used::default() };
        let position = Position { shard: 1, offset: 77, epoch: 2 };
        let states = vec![
            ("a".to_owned(), Tensor::f32(&[2, 2], vec![0.1, -0.0, f32::MIN_POSITIVE, 3.5])),
            ("m/a".to_owned(), Tensor::f64(&[], vec![0.1 + 0.2])),
        ];
        Checkpoint { meta: Meta::new("c", "d", position, progress, used), states }
    }

    #[test]
    fn a_checkpoint_reads_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = example(7).save(folder.path(), 2).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), example(7));
    }

    #[test]
    fn every_flipped_byte_and_every_truncation_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = example(7).save(folder.path(), 2).unwrap();
        let bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x20;
            // A space that turns into NUL inside the padding of the header changes nothing that is stored.
            if let Ok(read) = Checkpoint::decode(&path, &bad) {
                assert_eq!(read, example(7), "byte {at}");
            }
            assert!(Checkpoint::decode(&path, &bytes[..at]).is_err(), "truncated to {at}");
        }
    }

    #[test]
    fn only_the_newest_checkpoints_stay() {
        let folder = tempfile::tempdir().unwrap();
        for step in [5, 10, 9, 100] {
            example(step).save(folder.path(), 2).unwrap();
        }
        let names: Vec<_> =
            list(folder.path()).unwrap().iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, [file_name(100).as_str(), file_name(10).as_str()]);
        assert_eq!(list(&folder.path().join("absent")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn another_configuration_or_other_shards_are_foreign() {
        let path = Path::new("x");
        example(1).check_identity(path, "c", "d").unwrap();
        assert!(example(1).check_identity(path, "e", "d").unwrap_err().is_foreign());
        assert!(example(1).check_identity(path, "c", "e").unwrap_err().is_foreign());
    }
}
