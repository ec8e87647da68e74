//! States on their way between ranks: floats of the backend's own width, one after the other.

use crate::tensor::{Data, Tensor};
use std::ops::Range;

/// Values of several states, flattened in order. Backends compute in one width, so that all have the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Floats {
    /// Single precision.
    Single(Vec<f32>),
    /// Double precision: the oracle's.
    Double(Vec<f64>),
}

impl Floats {
    /// The values of `tensors`; single precision where there are none.
    pub fn of(tensors: &[Tensor]) -> Floats {
        if tensors.iter().any(|tensor| matches!(tensor.data(), Data::F64(_))) {
            return Floats::Double(tensors.iter().flat_map(Tensor::to_f64).collect());
        }
        Floats::Single(tensors.iter().flat_map(Tensor::to_f32).collect())
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Floats::Single(x) => x.len(),
            Floats::Double(x) => x.len(),
        }
    }

    /// No values, of the same width.
    pub fn empty(&self) -> Floats {
        match self {
            Floats::Single(_) => Floats::Single(Vec::new()),
            Floats::Double(_) => Floats::Double(Vec::new()),
        }
    }

    /// Bytes of a value.
    pub fn width(&self) -> u8 {
        match self {
            Floats::Single(_) => 4,
            Floats::Double(_) => 8,
        }
    }

    /// A byte that says the width, then the values of `range`, little-endian.
    pub fn encode(&self, range: Range<usize>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + range.len() * usize::from(self.width()));
        bytes.push(self.width());
        match self {
            Floats::Single(x) => x[range].iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes())),
            Floats::Double(x) => x[range].iter().for_each(|x| bytes.extend_from_slice(&x.to_le_bytes())),
        }
        bytes
    }

    /// What [`Floats::encode`] gave; `None` for anything else.
    pub fn decode(bytes: &[u8]) -> Option<Floats> {
        let (width, rest) = bytes.split_first()?;
        match width {
            4 if rest.len().is_multiple_of(4) => {
                let value = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("chunks of 4 bytes"));
                Some(Floats::Single(rest.chunks_exact(4).map(value).collect()))
            }
            8 if rest.len().is_multiple_of(8) => {
                let value = |b: &[u8]| f64::from_le_bytes(b.try_into().expect("chunks of 8 bytes"));
                Some(Floats::Double(rest.chunks_exact(8).map(value).collect()))
            }
            _ => None,
        }
    }

    /// Adds `other` element by element; false, with nothing done, when it has another width or length.
    pub fn add(&mut self, other: &Floats) -> bool {
        if self.len() != other.len() {
            return false;
        }
        match (self, other) {
            (Floats::Single(x), Floats::Single(y)) => x.iter_mut().zip(y).for_each(|(x, y)| *x += y),
            (Floats::Double(x), Floats::Double(y)) => x.iter_mut().zip(y).for_each(|(x, y)| *x += y),
            _ => return false,
        }
        true
    }

    /// Takes over `other` behind what is there; false, with nothing done, when it has another width.
    pub fn append(&mut self, other: Floats) -> bool {
        match (self, other) {
            (Floats::Single(x), Floats::Single(mut y)) => x.append(&mut y),
            (Floats::Double(x), Floats::Double(mut y)) => x.append(&mut y),
            _ => return false,
        }
        true
    }

    /// The values from `start` as a tensor of `shape`.
    pub fn tensor(&self, start: usize, shape: &[usize]) -> Tensor {
        let range = start..start + shape.iter().product::<usize>();
        match self {
            Floats::Single(x) => Tensor::f32(shape, x[range].to_vec()),
            Floats::Double(x) => Tensor::f64(shape, x[range].to_vec()),
        }
    }
}
