//! What a file is made of, for inspectors: bytes per section, bits per weight, entropy. No weights.

use serde::Serialize;

use crate::codec::Codec;
use crate::digest::hex;
use crate::model::ModelConfig;

use super::container::{self, Container, Section};
use super::error::ArtifactError;
use super::layout::{Kind, MAJOR};
use super::limits::Limits;
use super::table::TensorEntry;
use super::{Artifact, ArtifactTensor, Provenance, TensorData, reader, streams};

/// An artifact's parts and sizes. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Major and minor version of the layout.
    pub version: (u16, u16),
    /// The file.
    pub file_bytes: u64,
    /// Header, section table and digest.
    pub overhead_bytes: u64,
    /// Content digest, in hexadecimal.
    pub content_hash: String,
    /// Number of weights in all tensors.
    pub parameters: u64,
    /// Structure of the model.
    pub config: ModelConfig,
    /// Identity of the tokenizer, in hexadecimal.
    pub tokenizer_identity: Option<String>,
    /// Provenance.
    pub provenance: Option<Provenance>,
    /// Sections in file order.
    pub sections: Vec<SectionSummary>,
    /// Tensors in order of their names.
    pub tensors: Vec<TensorSummary>,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SectionSummary {
    /// Kind.
    pub kind: &'static str,
    /// Bits per symbol of a symbols section.
    pub bits: Option<u32>,
    /// Whether its symbols run column by column.
    pub columns: bool,
    /// Codec.
    pub codec: &'static str,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes after decompression.
    pub raw_bytes: u64,
    /// Bytes in the file.
    pub stored_bytes: u64,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorSummary {
    /// Name.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Bits of an element as stored: 4, 5, 6, 8, 16 or 32.
    pub bits: u32,
    /// Bytes before compression: elements at their width, and two for each row's scale.
    pub raw_bytes: u64,
    /// Codec of the section that holds its values.
    pub codec: &'static str,
    /// Share of the file, estimated: a section's stored bytes divided by its tensors' entropies (symbols) or sizes.
    pub estimated_bytes: f64,
    /// Order-0 entropy of the integers, in bits each; `None` for floats.
    pub entropy_bits: Option<f64>,
    /// Smallest and largest scale of a quantized tensor.
    pub scale_range: Option<(f32, f32)>,
}

/// Decodes `bytes` within the default limits and describes it.
pub fn summary(bytes: &[u8]) -> Result<Summary, ArtifactError> {
    decode_with_summary(bytes, &Limits::default()).map(|(_, summary)| summary)
}

/// An artifact and its description, decoded once.
pub fn decode_with_summary(bytes: &[u8], limits: &Limits) -> Result<(Artifact, Summary), ArtifactError> {
    let container = container::parse(bytes, limits)?;
    let (artifact, entries) = reader::read(&container, limits)?;
    let mut tensors: Vec<TensorSummary> = artifact.tensors.iter().map(describe).collect();
    estimate_bytes(&container, &entries, &mut tensors);
    let summary = Summary {
        version: (MAJOR, container.minor),
        file_bytes: bytes.len() as u64,
        overhead_bytes: container.overhead,
        content_hash: hex(&container.content_digest),
        parameters: tensors.iter().map(elements).sum(),
        config: artifact.config.clone(),
        tokenizer_identity: artifact.tokenizer_identity.map(|identity| hex(&identity)),
        provenance: artifact.provenance.clone(),
        sections: container.sections.iter().map(section).collect(),
        tensors,
    };
    Ok((artifact, summary))
}

fn elements(tensor: &TensorSummary) -> u64 {
    tensor.shape.iter().map(|&dim| dim as u64).product()
}

fn section(section: &Section<'_>) -> SectionSummary {
    SectionSummary {
        kind: section.kind.name(),
        bits: (section.kind == Kind::Symbols).then_some(section.entry.detail.into()),
        columns: section.columns(),
        codec: codec(section),
        offset: section.offset,
        raw_bytes: section.entry.raw.into(),
        stored_bytes: section.entry.stored.into(),
    }
}

fn codec(section: &Section<'_>) -> &'static str {
    Codec::from_id(section.entry.codec).map_or("unknown", Codec::name)
}

fn describe(tensor: &ArtifactTensor) -> TensorSummary {
    let mut summary = TensorSummary {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        bits: tensor.entry().element.bits(),
        raw_bytes: 0,
        codec: "",
        estimated_bytes: 0.0,
        entropy_bits: None,
        scale_range: None,
    };
    let scales = if summary.bits < 16 { 2 * tensor.shape[0] as u64 } else { 0 };
    summary.raw_bytes = (elements(&summary) * u64::from(summary.bits)).div_ceil(8) + scales;
    if let TensorData::Quantized { q, scales, .. } = &tensor.data {
        summary.entropy_bits = Some(streams::entropy(q.iter().map(|&q| q as u8)));
        let range = |(low, high): (f32, f32), scale: f32| (low.min(scale), high.max(scale));
        let start = (f32::INFINITY, 0.0);
        summary.scale_range = Some(scales.iter().map(|scale| scale.to_f32()).fold(start, range));
    }
    summary
}

/// Divides every stream's stored bytes among its tensors.
fn estimate_bytes(container: &Container<'_>, entries: &[TensorEntry], tensors: &mut [TensorSummary]) {
    let mut group = 0;
    for section in &container.sections {
        let own_group = group;
        let weight = |tensor: &TensorSummary, entry: &TensorEntry| match (section.kind, tensor.bits) {
            // A constant tensor has no entropy but is not free either.
            (Kind::Symbols, ..16) if entry.group == own_group => {
                elements(tensor) as f64 * tensor.entropy_bits.unwrap_or(0.0).max(0.01)
            }
            (Kind::Scales, ..16) => tensor.shape[0] as f64,
            (Kind::Halves, 16) | (Kind::Singles, 32) => elements(tensor) as f64,
            _ => 0.0,
        };
        let weights: Vec<f64> = tensors.iter().zip(entries).map(|(t, e)| weight(t, e)).collect();
        if section.kind != Kind::Scales {
            let own = tensors.iter_mut().zip(&weights).filter(|(_, weight)| **weight > 0.0);
            own.for_each(|(tensor, _)| tensor.codec = codec(section));
        }
        let total: f64 = weights.iter().sum();
        for (tensor, weight) in tensors.iter_mut().zip(&weights).filter(|(_, weight)| **weight > 0.0) {
            tensor.estimated_bytes += f64::from(section.entry.stored) * weight / total;
        }
        group += usize::from(section.kind == Kind::Symbols);
    }
}
