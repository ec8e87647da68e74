//! The one size calculus: how many bytes the tensors of a table occupy in each stream, in checked arithmetic.
//!
//! The reader compares these sums with the declared section sizes before it decompresses or allocates anything for
//! a tensor; after that, every tensor's part of its stream exists and nothing is left over.

use super::error::ArtifactError;
use super::table::{Element, TensorEntry};

/// Raw bytes of every stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamSizes {
    /// Of each symbols section.
    pub symbols: Vec<u64>,
    /// Of the scales.
    pub scales: u64,
    /// Of the fp16 values.
    pub halves: u64,
    /// Of the fp32 values.
    pub singles: u64,
}

/// Sums over the (checked) entries; `widths` are the bits of the symbols sections.
pub(super) fn stream_sizes(entries: &[TensorEntry], widths: &[u32]) -> Result<StreamSizes, ArtifactError> {
    let mut sizes = StreamSizes { symbols: vec![0; widths.len()], ..StreamSizes::default() };
    for entry in entries {
        let elements = elements(entry)?;
        match entry.element {
            Element::F32 => add(&mut sizes.singles, elements, 4, entry)?,
            Element::F16 => add(&mut sizes.halves, elements, 2, entry)?,
            Element::Quantized(bits) => {
                if widths.get(entry.group) != Some(&bits) {
                    let (name, group) = (entry.label(), entry.group);
                    return Err(ArtifactError::SymbolGroup { name, group, bits });
                }
                add(&mut sizes.symbols[entry.group], elements, 1, entry)?;
                add(&mut sizes.scales, entry.shape[0] as u64, 2, entry)?;
            }
        }
    }
    Ok(sizes)
}

/// Number of elements of a tensor.
pub(super) fn elements(entry: &TensorEntry) -> Result<u64, ArtifactError> {
    let product = entry.shape.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    product.ok_or_else(|| ArtifactError::SizeOverflow { name: entry.label() })
}

fn add(sum: &mut u64, count: u64, width: u64, entry: &TensorEntry) -> Result<(), ArtifactError> {
    let total = count.checked_mul(width).and_then(|bytes| sum.checked_add(bytes));
    *sum = total.ok_or_else(|| ArtifactError::SizeOverflow { name: entry.label() })?;
    Ok(())
}
