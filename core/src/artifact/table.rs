//! The tensor table: names, types, shapes and where each tensor's symbols are. No values.

use super::error::ArtifactError;
use super::layout::Fields;
use super::limits::{Limits, MAX_NAME, MAX_RANK, within};

/// The structure's name in messages.
const WHAT: &str = "tensor table";

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// fp32.
    F32,
    /// fp16.
    F16,
    /// Integers of so many bits.
    Quantized(u32),
}

impl Element {
    /// Bits of an element, which is also its code on disk.
    pub(super) fn bits(self) -> u32 {
        match self {
            Element::F32 => 32,
            Element::F16 => 16,
            Element::Quantized(bits) => bits,
        }
    }

    fn from_code(code: u8) -> Element {
        match code {
            32 => Element::F32,
            16 => Element::F16,
            other => Element::Quantized(other.into()),
        }
    }
}

/// A row of the tensor table. `name` may be any bytes until [`check`] has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TensorEntry {
    pub name: Vec<u8>,
    pub element: Element,
    pub shape: Vec<usize>,
    /// Index among the symbols sections; 0 for tensors that are not quantized.
    pub group: usize,
}

impl TensorEntry {
    /// The name, readable whatever it holds.
    pub(super) fn label(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// The table's bytes. The entries have been checked.
pub(super) fn to_bytes(entries: &[TensorEntry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend((entries.len() as u32).to_le_bytes());
    bytes.extend(entries.iter().map(|e| e.name.len() as u8));
    bytes.extend(entries.iter().flat_map(|e| &e.name));
    bytes.extend(entries.iter().map(|e| e.element.bits() as u8));
    bytes.extend(entries.iter().map(|e| e.shape.len() as u8));
    bytes.extend(entries.iter().flat_map(|e| &e.shape).flat_map(|&dim| (dim as u32).to_le_bytes()));
    let quantized = entries.iter().filter(|e| matches!(e.element, Element::Quantized(_)));
    bytes.extend(quantized.flat_map(|e| (e.group as u16).to_le_bytes()));
    bytes
}

/// Reads and checks a table.
pub(super) fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Vec<TensorEntry>, ArtifactError> {
    let mut fields = Fields::new(bytes, WHAT);
    let declared = u32::from_le_bytes(fields.array()?);
    let count = within("tensors", declared.into(), limits.tensors)? as usize;
    let lengths = fields.bytes(count)?;
    let names =
        lengths.iter().map(|&len| fields.bytes(len.into())).collect::<Result<Vec<_>, ArtifactError>>()?;
    let codes = fields.bytes(count)?;
    let ranks = fields.bytes(count)?;
    let mut entries = Vec::with_capacity(count);
    for ((name, &code), &rank) in names.into_iter().zip(codes).zip(ranks) {
        let dims = fields.bytes(4 * usize::from(rank))?.chunks_exact(4);
        let shape = dims.map(|d| u32::from_le_bytes([d[0], d[1], d[2], d[3]]) as usize).collect();
        entries.push(TensorEntry { name: name.to_vec(), element: Element::from_code(code), shape, group: 0 });
    }
    for entry in &mut entries {
        if matches!(entry.element, Element::Quantized(_)) {
            entry.group = u16::from_le_bytes(fields.array()?).into();
        }
    }
    fields.end()?;
    check(&entries)?;
    Ok(entries)
}

/// Checks names, order, types and shapes, on reading and on writing.
pub(super) fn check(entries: &[TensorEntry]) -> Result<(), ArtifactError> {
    let mut previous: Option<&TensorEntry> = None;
    for (index, entry) in entries.iter().enumerate() {
        check_name(index, &entry.name)?;
        if let Some(before) = previous {
            let name = entry.label();
            match before.name.cmp(&entry.name) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => return Err(ArtifactError::NameDuplicate { index, name }),
                std::cmp::Ordering::Greater => {
                    return Err(ArtifactError::NameOrder { index, name, previous: before.label() });
                }
            }
        }
        check_type(entry)?;
        previous = Some(entry);
    }
    Ok(())
}

fn check_name(index: usize, name: &[u8]) -> Result<(), ArtifactError> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(ArtifactError::NameLength { index, got: name.len() });
    }
    let text = std::str::from_utf8(name)
        .map_err(|error| ArtifactError::NameEncoding { index, at: error.valid_up_to() })?;
    if text.chars().any(char::is_control) {
        return Err(ArtifactError::NameControl { index, name: text.to_owned() });
    }
    Ok(())
}

fn check_type(entry: &TensorEntry) -> Result<(), ArtifactError> {
    let got = entry.shape.len();
    let rank = |expected| Err(ArtifactError::Rank { name: entry.label(), expected, got });
    match entry.element {
        Element::Quantized(4 | 5 | 6 | 8) if got != 2 => return rank("a quantized matrix of rank 2"),
        Element::Quantized(4 | 5 | 6 | 8) => {}
        Element::Quantized(got) => return Err(ArtifactError::ElementType { name: entry.label(), got }),
        _ if got > MAX_RANK => return rank("rank 0..=4"),
        _ => {}
    }
    for (axis, &dim) in entry.shape.iter().enumerate() {
        let got = dim as u64;
        if got == 0 || got > u64::from(u32::MAX) {
            return Err(ArtifactError::Dimension { name: entry.label(), axis, got });
        }
    }
    Ok(())
}
