//! Bytes to artifact: the meaning of the sections, after [`super::container`] has vouched for their bytes.
//!
//! Order matters: the tensor table is read first, the size calculus compares it with every stream's declared size,
//! and only then is a stream decompressed. The result has passed [`Artifact::check`] and the content digest.

use half::f16;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::ModelConfig;

use super::container::{self, Container, Section};
use super::error::ArtifactError;
use super::layout::Kind;
use super::limits::{Limits, within};
use super::size::StreamSizes;
use super::table::{Element, TensorEntry};
use super::{Artifact, ArtifactTensor, Provenance, TensorData, size, streams, table, writer};

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Artifact, ArtifactError> {
    let container = container::parse(bytes, limits)?;
    read(&container, limits).map(|(artifact, _)| artifact)
}

/// The artifact and its tensor table.
pub(super) fn read(
    container: &Container<'_>,
    limits: &Limits,
) -> Result<(Artifact, Vec<TensorEntry>), ArtifactError> {
    let config = read_config(required(container, Kind::Config)?, limits)?;
    let entries = read_table(required(container, Kind::Tensors)?, limits)?;
    let tokenizer = find(container, Kind::Tokenizer).map(|s| s.decompress(limits)).transpose()?;
    let tokenizer_identity =
        find(container, Kind::TokenizerIdentity).map(|s| read_identity(s, limits)).transpose()?;
    let provenance = find(container, Kind::Provenance).map(|s| read_provenance(s, limits)).transpose()?;
    let tensors = read_tensors(container, &entries, limits)?;
    let artifact = Artifact { config, tensors, tokenizer, tokenizer_identity, provenance };
    if artifact.content_hash() != container.content_digest {
        return Err(ArtifactError::ContentDigest);
    }
    Ok((artifact, entries))
}

fn find<'c, 'a>(container: &'c Container<'a>, kind: Kind) -> Option<&'c Section<'a>> {
    container.sections.iter().find(|section| section.kind == kind)
}

fn required<'c, 'a>(container: &'c Container<'a>, kind: Kind) -> Result<&'c Section<'a>, ArtifactError> {
    find(container, kind).ok_or(ArtifactError::MissingSection { kind: kind.name() })
}

fn read_config(section: &Section<'_>, limits: &Limits) -> Result<ModelConfig, ArtifactError> {
    let config: ModelConfig = read_json(section, limits)?;
    config.check()?;
    Ok(config)
}

fn read_provenance(section: &Section<'_>, limits: &Limits) -> Result<Provenance, ArtifactError> {
    let provenance: Provenance = read_json(section, limits)?;
    provenance.check()?;
    Ok(provenance)
}

/// JSON that is, byte for byte, what the writer would print.
fn read_json<T: DeserializeOwned + Serialize>(
    section: &Section<'_>,
    limits: &Limits,
) -> Result<T, ArtifactError> {
    within(section.kind.name(), section.entry.raw.into(), limits.header)?;
    let bytes = section.decompress(limits)?;
    let kind = section.kind.name();
    let value: T = serde_json::from_slice(&bytes).map_err(|source| ArtifactError::Json { kind, source })?;
    if writer::json(&value) == bytes { Ok(value) } else { Err(ArtifactError::NotCanonical { kind }) }
}

fn read_table(section: &Section<'_>, limits: &Limits) -> Result<Vec<TensorEntry>, ArtifactError> {
    within("tensor table", section.entry.raw.into(), limits.header)?;
    table::from_bytes(&section.decompress(limits)?, limits)
}

fn read_identity(section: &Section<'_>, limits: &Limits) -> Result<[u8; 32], ArtifactError> {
    section.expect_raw(32)?;
    let bytes = section.decompress(limits)?;
    Ok(bytes.try_into().expect("decompression gives exactly the declared bytes"))
}

/// Decompresses the streams one by one and deals them out.
fn read_tensors(
    container: &Container<'_>,
    entries: &[TensorEntry],
    limits: &Limits,
) -> Result<Vec<ArtifactTensor>, ArtifactError> {
    let symbols: Vec<&Section<'_>> = container.sections.iter().filter(|s| s.kind == Kind::Symbols).collect();
    let widths: Vec<u32> = symbols.iter().map(|section| section.entry.detail.into()).collect();
    let sizes = size::stream_sizes(entries, &widths)?;
    check_sizes(container, &symbols, &sizes)?;

    let mut tensors: Vec<ArtifactTensor> = entries.iter().map(empty_tensor).collect::<Result<_, _>>()?;
    for (group, section) in symbols.iter().enumerate() {
        let members = tensors.iter_mut().zip(entries).filter(|(_, entry)| entry.group == group);
        deal_symbols(&section.decompress(limits)?, section.columns(), members.map(|(tensor, _)| tensor))?;
    }
    let stream = |kind| find(container, kind).map_or(Ok(Vec::new()), |section| section.decompress(limits));
    let mut scales = streams::from_planes(&stream(Kind::Scales)?).into_iter().map(f16::from_le_bytes);
    let mut halves = streams::from_planes(&stream(Kind::Halves)?).into_iter().map(f16::from_le_bytes);
    let mut singles = streams::from_planes(&stream(Kind::Singles)?).into_iter().map(f32::from_le_bytes);
    for (tensor, entry) in tensors.iter_mut().zip(entries) {
        let count = size::elements(entry)? as usize;
        match &mut tensor.data {
            TensorData::F32(values) => values.extend(singles.by_ref().take(count)),
            TensorData::F16(values) => values.extend(halves.by_ref().take(count)),
            TensorData::Quantized { scales: values, .. } => {
                values.extend(scales.by_ref().take(entry.shape[0]))
            }
        }
        tensor.check()?;
    }
    Ok(tensors)
}

/// Compares every stream's declared size with what the tensors need.
fn check_sizes(
    container: &Container<'_>,
    symbols: &[&Section<'_>],
    sizes: &StreamSizes,
) -> Result<(), ArtifactError> {
    for (section, &expected) in symbols.iter().zip(&sizes.symbols) {
        check_size(section, expected)?;
    }
    let streams =
        [(Kind::Scales, sizes.scales), (Kind::Halves, sizes.halves), (Kind::Singles, sizes.singles)];
    for (kind, expected) in streams {
        match find(container, kind) {
            Some(section) => check_size(section, expected)?,
            None if expected > 0 => return Err(ArtifactError::MissingSection { kind: kind.name() }),
            None => {}
        }
    }
    Ok(())
}

fn check_size(section: &Section<'_>, expected: u64) -> Result<(), ArtifactError> {
    if expected == 0 {
        return Err(ArtifactError::UnusedSection { index: section.index, kind: section.kind.name() });
    }
    section.expect_raw(expected)
}

fn empty_tensor(entry: &TensorEntry) -> Result<ArtifactTensor, ArtifactError> {
    let data = match entry.element {
        Element::F32 => TensorData::F32(Vec::new()),
        Element::F16 => TensorData::F16(Vec::new()),
        Element::Quantized(bits) => TensorData::Quantized { bits, q: Vec::new(), scales: Vec::new() },
    };
    Ok(ArtifactTensor { name: entry.label(), shape: entry.shape.clone(), data })
}

/// Gives each quantized tensor of a group its integers. The sizes have been compared.
fn deal_symbols<'t>(
    mut bytes: &[u8],
    columns: bool,
    tensors: impl Iterator<Item = &'t mut ArtifactTensor>,
) -> Result<(), ArtifactError> {
    for tensor in tensors {
        let TensorData::Quantized { bits, .. } = tensor.data else { continue };
        let (rows, cols) = (tensor.shape[0], tensor.shape[1]);
        let (own, rest) = bytes.split_at(rows * cols);
        bytes = rest;
        let by_rows;
        let symbols = if columns {
            by_rows = streams::transpose(own, cols, rows);
            &by_rows
        } else {
            own
        };
        let q = symbols.iter().enumerate().map(|(index, &symbol)| {
            // Eight bits hold every symbol; below that, a large one must not wrap into range.
            let integer = streams::integer(bits, symbol);
            if bits == 8 || symbol >> bits == 0 { Ok(integer as i8) } else { Err((index, integer)) }
        });
        let q = q.collect::<Result<Vec<i8>, _>>().map_err(|(index, got)| tensor.integer(index, got, bits))?;
        if let TensorData::Quantized { q: own, .. } = &mut tensor.data {
            *own = q;
        }
    }
    Ok(())
}
