//! From a claimed tensor to its values: the one place where sizes meet bytes.
//!
//! Invariant: a storage has exactly the bytes that its element count asks for, every element of a view lies inside its
//! storage, and all views together stay within a byte budget (views may overlap or repeat, so the file's size alone
//! does not bound them). All sizes are computed with checked 64-bit arithmetic before anything is allocated.

use half::{bf16, f16};
use thiserror::Error;

use super::pickle::{Element, TensorRef};
use super::torch_zip::TorchZip;

/// Values of a view, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Half precision.
    F16(Vec<f16>),
    /// bfloat16.
    BF16(Vec<bf16>),
    /// Single precision.
    F32(Vec<f32>),
    /// Signed bytes.
    I8(Vec<i8>),
}

/// Why a tensor has no values.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file has no such storage.
    #[error("tensor `{name}`: storage `data/{key}` is missing")]
    Missing {
        /// The tensor.
        name: String,
        /// The storage.
        key: String,
    },
    /// The storage's size is not what its element count asks for.
    #[error(
        "tensor `{name}`: storage `data/{key}` of {numel} elements: expected {expected} bytes, got {got}"
    )]
    Size {
        /// The tensor.
        name: String,
        /// The storage.
        key: String,
        /// Claimed number of elements.
        numel: u64,
        /// Bytes that they need (saturated).
        expected: u64,
        /// Bytes that are there.
        got: u64,
    },
    /// The view reaches beyond its storage.
    #[error(
        "tensor `{name}`: shape {shape:?} with strides {stride:?} from element {offset} does not fit {numel} elements"
    )]
    View {
        /// The tensor.
        name: String,
        /// Extents.
        shape: Vec<usize>,
        /// Strides.
        stride: Vec<usize>,
        /// First element.
        offset: u64,
        /// Elements of the storage.
        numel: u64,
    },
    /// All tensors together exceed the budget.
    #[error("tensor `{name}`: the tensors so far exceed {limit} bytes")]
    Budget {
        /// The tensor.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// Elements of a type that no model parameter has.
    #[error("tensor `{name}` has elements of type {got:?}: expected F16, BF16, F32 or I8")]
    Element {
        /// The tensor.
        name: String,
        /// The type.
        got: Element,
    },
}

/// Bytes that may still be decoded.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: u64,
    left: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, left: limit }
    }

    /// Takes `bytes` for the tensor `name`.
    pub fn spend(&mut self, name: &str, bytes: u64) -> Result<(), StorageError> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| StorageError::Budget { name: name.to_owned(), limit: self.limit })?;
        Ok(())
    }
}

/// Decodes the view `tensor`, called `name` in messages, out of `zip`.
pub fn read(
    name: &str,
    tensor: &TensorRef,
    zip: &TorchZip<'_>,
    budget: &mut Budget,
) -> Result<Values, StorageError> {
    let storage = tensor.storage.as_ref();
    let bytes = zip
        .storage(&storage.key)
        .ok_or_else(|| StorageError::Missing { name: name.to_owned(), key: storage.key.clone() })?;
    let expected = storage.numel.saturating_mul(storage.element.bytes());
    if bytes.len() as u64 != expected {
        return Err(StorageError::Size {
            name: name.to_owned(),
            key: storage.key.clone(),
            numel: storage.numel,
            expected,
            got: bytes.len() as u64,
        });
    }
    let numel = fitting_numel(tensor).ok_or_else(|| StorageError::View {
        name: name.to_owned(),
        shape: tensor.shape.clone(),
        stride: tensor.stride.clone(),
        offset: tensor.offset,
        numel: storage.numel,
    })?;
    // Four bytes per element: what the caller turns every one into.
    budget.spend(name, numel.saturating_mul(4))?;
    Ok(match storage.element {
        Element::F16 => Values::F16(gather(tensor, bytes, f16::from_le_bytes)),
        Element::BF16 => Values::BF16(gather(tensor, bytes, bf16::from_le_bytes)),
        Element::F32 => Values::F32(gather(tensor, bytes, f32::from_le_bytes)),
        Element::I8 => Values::I8(gather(tensor, bytes, i8::from_le_bytes)),
        got => return Err(StorageError::Element { name: name.to_owned(), got }),
    })
}

/// Number of elements, if the last one lies inside the storage.
fn fitting_numel(tensor: &TensorRef) -> Option<u64> {
    let mut numel = 1u64;
    let mut last = tensor.offset;
    for (&size, &stride) in tensor.shape.iter().zip(&tensor.stride) {
        numel = numel.checked_mul(size as u64)?;
        last = last.checked_add((size as u64).saturating_sub(1).checked_mul(stride as u64)?)?;
    }
    let fits = if numel == 0 { tensor.offset <= tensor.storage.numel } else { last < tensor.storage.numel };
    fits.then_some(numel)
}

/// Collects the elements in row-major order; [`fitting_numel`] has shown that they lie inside `bytes`.
fn gather<const N: usize, T>(tensor: &TensorRef, bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    let numel: usize = tensor.shape.iter().product();
    let mut values = Vec::with_capacity(numel);
    let mut index = vec![0; tensor.shape.len()];
    // A dimension of one element is never stepped along; its stride may be anything.
    let dims = tensor.shape.iter().zip(&tensor.stride);
    let stride: Vec<usize> = dims.map(|(&size, &stride)| if size > 1 { stride } else { 0 }).collect();
    let mut at = tensor.offset as usize;
    while values.len() < numel {
        values.push(decode(elements[at]));
        for dim in (0..index.len()).rev() {
            index[dim] += 1;
            at += stride[dim];
            if index[dim] < tensor.shape[dim] {
                break;
            }
            at -= stride[dim] * tensor.shape[dim];
            index[dim] = 0;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::pickle::StorageRef;
    use super::*;

    fn view(numel: u64, offset: u64, shape: &[usize], stride: &[usize]) -> TensorRef {
        let storage = Arc::new(StorageRef { key: "0".into(), element: Element::I8, numel });
        TensorRef { storage, offset, shape: shape.to_vec(), stride: stride.to_vec() }
    }

    #[test]
    fn strides_and_offsets_select_elements_in_row_major_order() {
        let bytes: Vec<u8> = (0..24).collect();
        let get = |v: &TensorRef| gather(v, &bytes, i8::from_le_bytes);
        assert_eq!(get(&view(24, 0, &[2, 3], &[3, 1])), [0, 1, 2, 3, 4, 5]);
        assert_eq!(get(&view(24, 4, &[3, 2], &[1, 3])), [4, 7, 5, 8, 6, 9]);
        assert_eq!(get(&view(24, 5, &[2, 1, 3], &[12, usize::MAX, 0])), [5, 5, 5, 17, 17, 17]);
        assert_eq!(get(&view(24, 23, &[], &[])), [23]);
        assert!(get(&view(24, 24, &[0, 3], &[3, 1])).is_empty());
    }

    #[test]
    fn views_beyond_the_storage_do_not_fit() {
        let huge = usize::MAX;
        for (v, fits) in [
            (view(6, 0, &[2, 3], &[3, 1]), Some(6)),
            (view(6, 1, &[2, 3], &[3, 1]), None),
            (view(5, 0, &[2, 3], &[3, 1]), None),
            (view(6, 0, &[2, 3], &[4, 1]), None),
            (view(6, 0, &[2], &[huge]), None),
            (view(6, 0, &[huge, huge], &[0, 0]), None),
            (view(6, u64::MAX, &[2], &[1]), None),
            (view(6, 7, &[0], &[1]), None),
            (view(0, 0, &[], &[]), None),
        ] {
            assert_eq!(fitting_numel(&v), fits, "{v:?}");
        }
    }
}
