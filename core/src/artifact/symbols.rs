//! Quantized tensors to streams of symbols: which tensors share a stream, and in what order.
//!
//! Tensors of one width that play one role in all layers have alike statistics, so a coder learns them once. Invariant:
//! every quantized tensor is in exactly one stream, whole. Not here: compression.

use std::collections::BTreeMap;

use super::{ArtifactTensor, TensorData, streams};

/// The integers of the quantized tensors of one role and width, one byte each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolStream {
    /// The tensors' name without its numbers.
    pub role: String,
    /// Bits of an integer.
    pub bits: u32,
    /// Indices of the tensors.
    pub tensors: Vec<usize>,
    /// Their rows and columns.
    pub matrices: Vec<(usize, usize)>,
    /// Integer `q` as `q + 2^(bits-1)`, row by row.
    pub symbols: Vec<u8>,
}

/// The streams of `tensors`, by role and width. The tensors have been checked.
pub fn symbol_streams(tensors: &[ArtifactTensor]) -> Vec<SymbolStream> {
    let mut all: BTreeMap<(String, u32), SymbolStream> = BTreeMap::new();
    for (index, tensor) in tensors.iter().enumerate() {
        let TensorData::Quantized { bits, q, .. } = &tensor.data else { continue };
        let role = role(&tensor.name);
        let stream = all.entry((role.clone(), *bits)).or_insert_with(|| SymbolStream {
            role,
            bits: *bits,
            tensors: Vec::new(),
            matrices: Vec::new(),
            symbols: Vec::new(),
        });
        stream.tensors.push(index);
        stream.matrices.push((tensor.shape[0], tensor.shape[1]));
        stream.symbols.extend(q.iter().map(|&q| streams::symbol(*bits, q)));
    }
    all.into_values().collect()
}

/// A name without its numbers: `blocks.3.mlp.fc.weight` and `blocks.4.mlp.fc.weight` play one role.
fn role(name: &str) -> String {
    let numeric = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    name.split('.').filter(|part| !numeric(part)).collect::<Vec<_>>().join(".")
}
