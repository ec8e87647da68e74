//! The content digest: SHA-256 over what an artifact says, as [`super::layout`] defines it.

use half::f16;
use sha2::{Digest, Sha256};

use super::{Artifact, ArtifactTensor, TensorData, streams, writer};

/// Domain separation and version of the definition.
const PREFIX: &[u8; 8] = b"golf-1.0";

/// Values hashed at a time.
const CHUNK: usize = 4096;

pub(super) fn content(artifact: &Artifact) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(PREFIX);
    field(&mut hash, Some(&writer::json(&artifact.config)));
    field(&mut hash, artifact.tokenizer.as_deref());
    field(&mut hash, artifact.tokenizer_identity.as_ref().map(|identity| &identity[..]));
    field(&mut hash, artifact.provenance.as_ref().map(writer::json).as_deref());
    hash.update((artifact.tensors.len() as u64).to_le_bytes());
    for tensor in &artifact.tensors {
        update(&mut hash, tensor);
    }
    hash.finalize().into()
}

fn field(hash: &mut Sha256, bytes: Option<&[u8]>) {
    hash.update([u8::from(bytes.is_some())]);
    if let Some(bytes) = bytes {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
}

fn update(hash: &mut Sha256, tensor: &ArtifactTensor) {
    hash.update((tensor.name.len() as u64).to_le_bytes());
    hash.update(tensor.name.as_bytes());
    hash.update([tensor.entry().element.bits() as u8, tensor.shape.len() as u8]);
    for &dim in &tensor.shape {
        hash.update((dim as u64).to_le_bytes());
    }
    match &tensor.data {
        TensorData::F32(values) => chunks(hash, values, |v| v.to_le_bytes()),
        TensorData::F16(values) => chunks(hash, values, |v| v.to_le_bytes()),
        TensorData::Quantized { bits, q, scales } => {
            chunks(hash, q, |&q| [streams::symbol(*bits, q)]);
            chunks(hash, scales, |scale: &f16| scale.to_le_bytes());
        }
    }
}

fn chunks<T, const N: usize>(hash: &mut Sha256, values: &[T], bytes: impl Fn(&T) -> [u8; N]) {
    let mut buffer = Vec::with_capacity(CHUNK * N);
    for chunk in values.chunks(CHUNK) {
        buffer.clear();
        buffer.extend(chunk.iter().flat_map(&bytes));
        hash.update(&buffer);
    }
}
