//! Artifact to bytes. What the bytes are is in [`super::layout`]; that they are legal is checked here first.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::codec::ENCODER_REVISION;
use crate::parallel::on_all_cores;

use super::compress::{Compressed, Raw, compress};
use super::error::ArtifactError;
use super::layout::{
    DIGEST_BYTES, ENTRY_BYTES, Entry, FLAG_COLUMNS, FLAG_REQUIRED, HEADER_BYTES, HEADER_CRC, Kind,
    LITTLE_ENDIAN, MAGIC, MAJOR, MINOR,
};
use super::limits::{Limits, within};
use super::symbols::{SymbolStream, symbol_streams};
use super::table::TensorEntry;
use super::{Artifact, ArtifactTensor, TensorData, streams, table};

pub(super) fn encode(artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
    artifact.check()?;
    let limits = Limits::default();
    let sections = sections(artifact, &limits)?;
    let raw: u64 = sections.iter().map(|section| section.bytes.len() as u64).sum();
    within("bytes after decompression", raw, limits.raw)?;
    let file = assemble(artifact, &sections, &on_all_cores(&sections, compress));
    within("file", file.len() as u64, limits.file)?;
    limits.check_raw(raw, file.len() as u64)?;
    Ok(file)
}

/// Compact JSON in declared order: the canonical text of configurations and provenance.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of numbers and strings have a JSON form")
}

/// All sections in file order.
fn sections(artifact: &Artifact, limits: &Limits) -> Result<Vec<Raw>, ArtifactError> {
    within("tensors", artifact.tensors.len() as u64, limits.tensors)?;
    let streams = symbol_streams(&artifact.tensors);
    let entries = entries(&artifact.tensors, &streams);
    let plain = |kind, bytes| Raw { kind, detail: 0, matrices: Vec::new(), bytes };
    let mut all =
        vec![plain(Kind::Config, json(&artifact.config)), plain(Kind::Tensors, table::to_bytes(&entries))];
    within("tensor table", all[1].bytes.len() as u64, limits.header)?;
    all.extend(artifact.tokenizer.iter().map(|bytes| plain(Kind::Tokenizer, bytes.clone())));
    all.extend(artifact.tokenizer_identity.iter().map(|id| plain(Kind::TokenizerIdentity, id.to_vec())));
    all.extend(artifact.provenance.iter().map(|provenance| plain(Kind::Provenance, json(provenance))));
    if let Some(empty) = all.iter().find(|section| section.bytes.is_empty()) {
        return Err(ArtifactError::EmptySection { kind: empty.kind.name() });
    }
    all.extend(streams.into_iter().map(|SymbolStream { bits, matrices, symbols, .. }| Raw {
        kind: Kind::Symbols,
        detail: bits as u8,
        matrices,
        bytes: symbols,
    }));
    let values = [
        plain(Kind::Scales, scales(&artifact.tensors)),
        plain(Kind::Halves, halves(&artifact.tensors)),
        plain(Kind::Singles, singles(&artifact.tensors)),
    ];
    all.extend(values.into_iter().filter(|section| !section.bytes.is_empty()));
    within("sections", all.len() as u64, limits.sections)?;
    Ok(all)
}

/// The table's entries, each with the stream that holds its symbols.
fn entries(tensors: &[ArtifactTensor], streams: &[SymbolStream]) -> Vec<TensorEntry> {
    let mut entries: Vec<TensorEntry> = tensors.iter().map(ArtifactTensor::entry).collect();
    for (group, stream) in streams.iter().enumerate() {
        stream.tensors.iter().for_each(|&tensor| entries[tensor].group = group);
    }
    entries
}

fn scales(tensors: &[ArtifactTensor]) -> Vec<u8> {
    let of = |tensor: &'_ ArtifactTensor| match &tensor.data {
        TensorData::Quantized { scales, .. } => scales.iter().map(|v| v.to_le_bytes()).collect(),
        _ => Vec::new(),
    };
    streams::to_planes(&tensors.iter().flat_map(of).collect::<Vec<_>>())
}

fn halves(tensors: &[ArtifactTensor]) -> Vec<u8> {
    let of = |tensor: &'_ ArtifactTensor| match &tensor.data {
        TensorData::F16(values) => values.iter().map(|v| v.to_le_bytes()).collect(),
        _ => Vec::new(),
    };
    streams::to_planes(&tensors.iter().flat_map(of).collect::<Vec<_>>())
}

fn singles(tensors: &[ArtifactTensor]) -> Vec<u8> {
    let of = |tensor: &'_ ArtifactTensor| match &tensor.data {
        TensorData::F32(values) => values.iter().map(|v| v.to_le_bytes()).collect(),
        _ => Vec::new(),
    };
    streams::to_planes(&tensors.iter().flat_map(of).collect::<Vec<_>>())
}

/// Header, section table, stored bytes, digest.
fn assemble(artifact: &Artifact, sections: &[Raw], compressed: &[Compressed]) -> Vec<u8> {
    let stored: usize = compressed.iter().map(|section| section.bytes.len()).sum();
    let length = HEADER_BYTES + ENTRY_BYTES * sections.len() + stored + DIGEST_BYTES;
    let mut file = Vec::with_capacity(length);
    file.extend(MAGIC);
    file.extend(MAJOR.to_le_bytes());
    file.extend(MINOR.to_le_bytes());
    file.extend([LITTLE_ENDIAN, ENCODER_REVISION]);
    file.extend((sections.len() as u16).to_le_bytes());
    file.extend((length as u64).to_le_bytes());
    file.extend([0; 8]); // no required features; the CRC follows below
    file.extend(artifact.content_hash());
    for (section, Compressed { columns, codec, bytes }) in sections.iter().zip(compressed) {
        let required = if section.kind.required() { FLAG_REQUIRED } else { 0 };
        let columns = if *columns { FLAG_COLUMNS } else { 0 };
        let entry = Entry {
            kind: section.kind as u8,
            codec: *codec as u8,
            detail: section.detail,
            flags: required | columns,
            raw: section.bytes.len() as u32,
            stored: bytes.len() as u32,
            crc: crc32fast::hash(bytes),
        };
        file.extend(entry.to_bytes());
    }
    let crc = crc32fast::hash(&file);
    file[HEADER_CRC].copy_from_slice(&crc.to_le_bytes());
    compressed.iter().for_each(|section| file.extend(&section.bytes));
    let digest: [u8; 32] = Sha256::digest(&file).into();
    file.extend(digest);
    file
}
