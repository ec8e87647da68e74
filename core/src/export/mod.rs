//! Writing models for other people's programs: safetensors, and the torch files of the challenge's baseline.
//!
//! The counterpart of [`crate::import`], which reads both back to the same weights. Invariant: the same tensors give the same
//! bytes; integers and scales leave as they are. golf's own file is [`crate::artifact`]'s.

mod pickle;
mod torch;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};

use crate::artifact::{ArtifactTensor, TensorData};
use pickle::{Storage, Value};

/// What a torch file is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// Nothing.
    None,
    /// zlib, level 9, as the baseline does.
    Zlib,
    /// One Zstandard frame, level 22 (PR #264 and others).
    #[cfg(not(target_arch = "wasm32"))]
    Zstd,
}

/// The weights as 32-bit floats, with `metadata` (at most one entry keeps the file's bytes the same every time).
pub fn to_safetensors(
    tensors: &[ArtifactTensor],
    metadata: BTreeMap<String, String>,
) -> Result<Vec<u8>, SafeTensorError> {
    let bytes =
        |t: &ArtifactTensor| -> Vec<u8> { t.to_f32().f32s().iter().flat_map(|x| x.to_le_bytes()).collect() };
    let values: Vec<Vec<u8>> = tensors.iter().map(bytes).collect();
    let views = (tensors.iter().zip(&values))
        .map(|(t, data)| Ok((t.name.as_str(), TensorView::new(Dtype::F32, t.shape.clone(), data)?)))
        .collect::<Result<Vec<_>, SafeTensorError>>()?;
    let metadata: HashMap<String, String> = metadata.into_iter().collect();
    safetensors::serialize(views, (!metadata.is_empty()).then_some(metadata))
}

/// A torch file in the clean per-row layout (the challenge's baseline, PR #861): `quantized` and `scales` hold the integers
/// and steps, `passthrough` everything else. All restore to 32-bit floats, so a product is rounded once.
pub fn per_row(tensors: &[ArtifactTensor], wrapping: Wrapping) -> Vec<u8> {
    let mut storages = Vec::new();
    let object = layout(tensors, &mut storages);
    let file = torch::file(&object, &storages);
    match wrapping {
        Wrapping::None => file,
        Wrapping::Zlib => zlib(&file),
        #[cfg(not(target_arch = "wasm32"))]
        Wrapping::Zstd => {
            zstd::bulk::compress(&file, 22).expect("encoding from memory to memory cannot fail")
        }
    }
}

fn zlib(file: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(file).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

/// The dict of the layout; tensors point into `storages`.
fn layout(tensors: &[ArtifactTensor], storages: &mut Vec<Storage>) -> Value {
    let (mut quantized, mut scales, mut dtypes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut passthrough, mut originals, mut qmeta) = (Vec::new(), Vec::new(), Vec::new());
    let single = || Value::Text("float32".to_owned());
    let mut widest = 4;
    for tensor in tensors {
        let name = || tensor.name.clone();
        match &tensor.data {
            TensorData::Quantized { bits, q, scales: steps } => {
                widest = widest.max(*bits);
                let integers = Storage::chars(q);
                let rows = [steps.len()];
                quantized.push((name(), pickle::tensor(storages, integers, &tensor.shape)));
                scales.push((name(), pickle::tensor(storages, Storage::halves(steps), &rows)));
                dtypes.push((name(), single()));
                let scheme = ("scheme".to_owned(), Value::Text("per_row".to_owned()));
                qmeta.push((name(), Value::Dict(vec![scheme, ("axis".to_owned(), Value::Int(0))])));
            }
            TensorData::F16(values) => {
                passthrough.push((name(), pickle::tensor(storages, Storage::halves(values), &tensor.shape)));
                originals.push((name(), single()));
            }
            TensorData::F32(values) => {
                passthrough.push((name(), pickle::tensor(storages, Storage::floats(values), &tensor.shape)));
            }
        }
    }
    let format = Value::Text(format!("int{widest}_clean_per_row_v1"));
    let entries = [
        ("__quant_format__", format),
        ("quantized", Value::Dict(quantized)),
        ("scales", Value::Dict(scales)),
        ("dtypes", Value::Dict(dtypes)),
        ("passthrough", Value::Dict(passthrough)),
        ("qmeta", Value::Dict(qmeta)),
        ("passthrough_orig_dtypes", Value::Dict(originals)),
    ];
    Value::Dict(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests;
