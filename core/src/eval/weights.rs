//! A model ready to be scored: configuration, tensors by name, and the digest that names them.
//!
//! Invariant: the tensors are exactly the configuration's parameters, with their shapes; quantized ones are packed.

use super::adapt_options::AdaptOptions;
use super::error::EvalError;
use crate::artifact::Artifact;
use crate::model::{ModelConfig, parameters};
use crate::parallel::on_all_cores;
use crate::quant::pack;
use crate::tensor::{DType, Tensor};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Weights of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelWeights {
    config: ModelConfig,
    tensors: BTreeMap<String, Tensor>,
    digest: [u8; 32],
}

impl ModelWeights {
    /// Checks that `tensors` are what `config` asks for. `digest` names the source in receipts.
    pub fn new(
        config: ModelConfig,
        tensors: BTreeMap<String, Tensor>,
        digest: [u8; 32],
    ) -> Result<Self, EvalError> {
        config.check()?;
        let expected: BTreeMap<String, Vec<usize>> =
            parameters(&config).into_iter().map(|p| (p.name, p.shape)).collect();
        for (name, shape) in &expected {
            let Some(tensor) = tensors.get(name) else {
                return Err(EvalError::MissingParameter { name: name.clone() });
            };
            if tensor.shape() != shape || tensor.ty().dtype == DType::I32 {
                let (expected, got) = (shape.clone(), tensor.ty().clone());
                return Err(EvalError::ParameterShape { name: name.clone(), expected, got });
            }
        }
        match tensors.keys().find(|name| !expected.contains_key(*name)) {
            Some(name) => Err(EvalError::UnknownParameter { name: name.clone() }),
            None => Ok(Self { config, tensors, digest }),
        }
    }

    /// The weights of an artifact, quantized ones packed. The digest is the artifact's content hash.
    pub fn from_artifact(artifact: &Artifact) -> Result<Self, EvalError> {
        let tensors = artifact.tensors.iter().map(|t| (t.name.clone(), t.to_operand())).collect();
        Self::new(artifact.config.clone(), tensors, artifact.content_hash())
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// The digest that names these weights.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The hash of the weights that score a run's first chunk, as its record states it: of this digest, and of the
    /// hashes of the parameters that adapt, as plain f32, in the order of their names.
    ///
    /// # Errors
    /// Parameters to adapt that the model does not have.
    pub fn start_digest(&self, adapt: Option<&AdaptOptions>) -> Result<[u8; 32], EvalError> {
        let names = adapt.map(|adapt| adapt.selection(&self.config)).transpose()?.unwrap_or_default();
        let names: BTreeSet<_> = names.iter().collect();
        let adapted: Vec<Tensor> = names.into_iter().map(|name| plain(&self.tensors[name])).collect();
        Ok(adapted_digest(self.digest, &adapted))
    }

    /// SHA-256 of the configuration's JSON.
    pub fn config_digest(&self) -> [u8; 32] {
        let json = serde_json::to_vec(&self.config).expect("plain structs of numbers have a JSON form");
        Sha256::digest(json).into()
    }
}

/// SHA-256 of `model`, the digest of the unadapted model, and of the SHA-256 of every adapted parameter (f32, little-endian) in
/// the order of their names. Parameters are hashed on all cores: one takes 62 ms for 27 million, after every chunk.
pub(super) fn adapted_digest(model: [u8; 32], adapted: &[Tensor]) -> [u8; 32] {
    let of = |tensor: &Tensor| {
        let mut hash = Sha256::new();
        for values in tensor.to_f32().chunks(1024) {
            let mut bytes = [0; 4096];
            bytes
                .chunks_exact_mut(4)
                .zip(values)
                .for_each(|(bytes, value)| bytes.copy_from_slice(&value.to_le_bytes()));
            hash.update(&bytes[..4 * values.len()]);
        }
        <[u8; 32]>::from(hash.finalize())
    };
    let digests = on_all_cores(adapted, of);
    digests
        .iter()
        .fold(Sha256::new().chain_update(model), |hash, digest| hash.chain_update(digest))
        .finalize()
        .into()
}

/// A packed matrix as plain f32, which is what adapts; others unchanged.
pub fn plain(tensor: &Tensor) -> Tensor {
    match tensor.ty().dtype.quant_bits() {
        None => tensor.clone(),
        Some(bits) => {
            let [rows, cols] = [tensor.shape()[0], tensor.shape()[1]];
            Tensor::f32(tensor.shape(), pack::dequantize(bits, tensor.words(), rows, cols))
        }
    }
}
