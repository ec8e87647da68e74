//! Safetensors files: named float tensors (f32, f16, bf16), through the format's own crate.
//!
//! Invariant: the crate checks the header (no gaps, no overlap, sizes that match); here the number of tensors, the
//! bytes and the element types are bounded. Integers are refused: safetensors has no convention for scales.

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use thiserror::Error;

use super::Limits;
use super::banks;
use super::layouts::LayoutError;
use super::storage::{Budget, StorageError};
use super::tensor::{FloatType, Imported, ImportedData};

/// Why a safetensors file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SafetensorsError {
    /// The header is broken.
    #[error("damaged safetensors file: {0}")]
    Header(SafeTensorError),
    /// More tensors than the limit.
    #[error("{got} tensors: expected at most {limit}")]
    TooMany {
        /// How many.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// An element type that no parameter has.
    #[error("tensor `{name}` has elements of type {got:?}: expected F32, F16 or BF16")]
    Element {
        /// The tensor.
        name: String,
        /// The type.
        got: Dtype,
    },
    /// More bytes than the limit.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A bank that cannot be cut.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Reads all tensors, sorted by name; parameter banks are cut ([`super::banks`]).
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Vec<Imported>, SafetensorsError> {
    let file = SafeTensors::deserialize(bytes).map_err(SafetensorsError::Header)?;
    if file.len() > limits.tensors {
        return Err(SafetensorsError::TooMany { got: file.len(), limit: limits.tensors });
    }
    let mut budget = Budget::new(limits.raw_bytes);
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        let data = view.data();
        budget.spend(name, data.len() as u64)?;
        let (restore, data) = match view.dtype() {
            Dtype::F32 => (FloatType::F32, ImportedData::F32(decode(data, f32::from_le_bytes))),
            Dtype::F16 => (FloatType::F16, ImportedData::F16(decode(data, f16::from_le_bytes))),
            Dtype::BF16 => (FloatType::BF16, ImportedData::BF16(decode(data, bf16::from_le_bytes))),
            got => return Err(SafetensorsError::Element { name: name.to_owned(), got }),
        };
        tensors.push(Imported { name: name.to_owned(), shape: view.shape().to_vec(), restore, data });
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(banks::unstack(tensors)?)
}

/// Elements of `bytes`, whose length the crate has checked against the shape.
fn decode<const N: usize, T>(bytes: &[u8], one: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&chunk| one(chunk)).collect()
}
