//! Artifact to bytes. What the bytes are is in [`super::layout`]; that they are legal is checked here first.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::codec::{self, Codec, ENCODER_REVISION};

use super::error::ArtifactError;
use super::layout::{
    DIGEST_BYTES, ENTRY_BYTES, Entry, FLAG_COLUMNS, FLAG_REQUIRED, HEADER_BYTES, HEADER_CRC, Kind,
    LITTLE_ENDIAN, MAGIC, MAJOR, MINOR,
};
use super::limits::{Limits, within};
use super::table::TensorEntry;
use super::{Artifact, ArtifactTensor, TensorData, streams, table};

/// A section before compression.
struct Raw {
    kind: Kind,
    detail: u8,
    columns: bool,
}

/// Role and bits of the tensors of a symbols section.
type GroupKey = (String, u32);

pub(super) fn encode(artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
    artifact.check()?;
    let limits = Limits::default();
    let (sections, raw) = sections(artifact, &limits)?;
    let raw_bytes: Vec<u64> = raw.iter().map(|bytes| bytes.len() as u64).collect();
    within("bytes after decompression", raw_bytes.iter().sum(), limits.raw)?;
    let compressed = codec::encode_best_of_each(&raw);
    let file = assemble(artifact, &sections, &raw_bytes, &compressed);
    within("file", file.len() as u64, limits.file)?;
    limits.check_raw(raw_bytes.iter().sum(), file.len() as u64)?;
    Ok(file)
}

/// Compact JSON in declared order: the canonical text of configurations and provenance.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs of numbers and strings have a JSON form")
}

/// All sections in file order with their raw bytes.
fn sections(artifact: &Artifact, limits: &Limits) -> Result<(Vec<Raw>, Vec<Vec<u8>>), ArtifactError> {
    within("tensors", artifact.tensors.len() as u64, limits.tensors)?;
    let (entries, keys) = grouped(&artifact.tensors);
    let plain = |kind, bytes| (Raw { kind, detail: 0, columns: false }, bytes);
    let mut all =
        vec![plain(Kind::Config, json(&artifact.config)), plain(Kind::Tensors, table::to_bytes(&entries))];
    within("tensor table", all[1].1.len() as u64, limits.header)?;
    all.extend(artifact.tokenizer.iter().map(|bytes| plain(Kind::Tokenizer, bytes.clone())));
    all.extend(artifact.tokenizer_identity.iter().map(|id| plain(Kind::TokenizerIdentity, id.to_vec())));
    all.extend(artifact.provenance.iter().map(|provenance| plain(Kind::Provenance, json(provenance))));
    if let Some((empty, _)) = all.iter().find(|(_, bytes)| bytes.is_empty()) {
        return Err(ArtifactError::EmptySection { kind: empty.kind.name() });
    }
    for (group, &(_, bits)) in keys.iter().enumerate() {
        let members = artifact.tensors.iter().zip(&entries).filter(|(_, entry)| entry.group == group);
        let (columns, bytes) = symbols(members.map(|(tensor, _)| tensor));
        all.push((Raw { kind: Kind::Symbols, detail: bits as u8, columns }, bytes));
    }
    let streams = [
        plain(Kind::Scales, scales(&artifact.tensors)),
        plain(Kind::Halves, halves(&artifact.tensors)),
        plain(Kind::Singles, singles(&artifact.tensors)),
    ];
    all.extend(streams.into_iter().filter(|(_, bytes)| !bytes.is_empty()));
    within("sections", all.len() as u64, limits.sections)?;
    Ok(all.into_iter().unzip())
}

/// The table's entries with their groups, and the groups in order.
fn grouped(tensors: &[ArtifactTensor]) -> (Vec<TensorEntry>, Vec<GroupKey>) {
    let key = |tensor: &ArtifactTensor| match &tensor.data {
        TensorData::Quantized { bits, .. } => Some((role(&tensor.name), *bits)),
        _ => None,
    };
    let mut groups: BTreeMap<GroupKey, usize> = tensors.iter().filter_map(key).map(|key| (key, 0)).collect();
    groups.values_mut().enumerate().for_each(|(index, group)| *group = index);
    let entry = |tensor: &ArtifactTensor| {
        let group = key(tensor).map_or(0, |key| groups[&key]);
        TensorEntry { group, ..tensor.entry() }
    };
    (tensors.iter().map(entry).collect(), groups.into_keys().collect())
}

/// A name without its numbers: `blocks.3.mlp.fc.weight` and `blocks.4.mlp.fc.weight` play one role.
fn role(name: &str) -> String {
    let numeric = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    name.split('.').filter(|part| !numeric(part)).collect::<Vec<_>>().join(".")
}

/// The symbols of quantized tensors, in the cheaper order; whether that is by columns.
fn symbols<'a>(tensors: impl Iterator<Item = &'a ArtifactTensor>) -> (bool, Vec<u8>) {
    let (mut by_rows, mut by_columns) = (Vec::new(), Vec::new());
    for tensor in tensors {
        if let TensorData::Quantized { bits, q, .. } = &tensor.data {
            let start = by_rows.len();
            by_rows.extend(q.iter().map(|&q| streams::symbol(*bits, q)));
            by_columns.extend(streams::transpose(&by_rows[start..], tensor.shape[0], tensor.shape[1]));
        }
    }
    let columns = streams::local_entropy(&by_columns) < streams::local_entropy(&by_rows);
    (columns, if columns { by_columns } else { by_rows })
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
fn assemble(artifact: &Artifact, sections: &[Raw], raw: &[u64], compressed: &[(Codec, Vec<u8>)]) -> Vec<u8> {
    let stored: usize = compressed.iter().map(|(_, bytes)| bytes.len()).sum();
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
    for ((section, &raw), (codec, bytes)) in sections.iter().zip(raw).zip(compressed) {
        let required = if section.kind.required() { FLAG_REQUIRED } else { 0 };
        let columns = if section.columns { FLAG_COLUMNS } else { 0 };
        let entry = Entry {
            kind: section.kind as u8,
            codec: *codec as u8,
            detail: section.detail,
            flags: required | columns,
            raw: raw as u32,
            stored: bytes.len() as u32,
            crc: crc32fast::hash(bytes),
        };
        file.extend(entry.to_bytes());
    }
    let crc = crc32fast::hash(&file);
    file[HEADER_CRC].copy_from_slice(&crc.to_le_bytes());
    compressed.iter().for_each(|(_, bytes)| file.extend(bytes));
    let digest: [u8; 32] = Sha256::digest(&file).into();
    file.extend(digest);
    file
}
