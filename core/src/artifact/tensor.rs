//! A tensor of an artifact: the stored integers or halves themselves, not yet weights.

use half::f16;

use crate::quant::{Exported, Scales, pack};
use crate::tensor::{DType, Data, Tensor, TensorType};

use super::error::ArtifactError;
use super::size;
use super::table::{Element, TensorEntry};

/// Stored values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// A matrix `[rows, cols]` of integers with one scale per row: weight = `q · scale`.
    Quantized {
        /// 4, 5, 6 or 8.
        bits: u32,
        /// `rows · cols` integers within [`pack::integer_range`].
        q: Vec<i8>,
        /// `rows` scales, finite and without sign.
        scales: Vec<f16>,
    },
}

/// A named tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct ArtifactTensor {
    /// Dotted path, 1 to 255 bytes.
    pub name: String,
    /// Extents, outermost first: at most 4, none 0; the empty shape is a scalar.
    pub shape: Vec<usize>,
    /// Values.
    pub data: TensorData,
}

impl ArtifactTensor {
    /// What an exporter made of a parameter. Artifacts quantize matrices only, so anything else that was quantized is kept
    /// as the f32 values that it stands for.
    pub fn from_exported(name: String, shape: Vec<usize>, exported: Exported) -> Self {
        let data = match exported {
            Exported::F32(values) => TensorData::F32(values),
            Exported::F16(values) => TensorData::F16(values),
            Exported::Quantized(scheme, quantized) => match quantized.scales {
                Scales::PerRow(scales) => {
                    TensorData::Quantized { bits: scheme.bits(), q: quantized.q, scales }
                }
                Scales::Half(_) | Scales::Single(_) => TensorData::F32(quantized.dequantize()),
            },
        };
        Self { name, shape, data }
    }

    /// The weights in f32; quantized ones are `q · scale`.
    pub fn to_f32(&self) -> Tensor {
        let values = match &self.data {
            TensorData::F32(values) => values.clone(),
            TensorData::F16(values) => values.iter().map(|v| v.to_f32()).collect(),
            TensorData::Quantized { q, scales, .. } => {
                let cols = self.shape[1];
                let weights = |(row, scale): (&[i8], &f16)| {
                    let scale = scale.to_f32();
                    row.iter().map(|&q| f32::from(q) * scale).collect::<Vec<_>>()
                };
                q.chunks_exact(cols).zip(scales).flat_map(weights).collect()
            }
        };
        Tensor::f32(&self.shape, values)
    }

    /// The tensor as a graph's operand: packed rows of type Q4, Q5, Q6 or Q8 if quantized, otherwise f32.
    pub fn to_operand(&self) -> Tensor {
        let TensorData::Quantized { bits, q, scales } = &self.data else { return self.to_f32() };
        let dtype = DType::from_quant_bits(*bits).expect("artifacts hold only supported bit widths");
        let words = pack::pack(*bits, self.shape[0], self.shape[1], q, scales);
        Tensor::new(TensorType { dtype, shape: self.shape.clone() }, Data::Packed(words))
    }

    /// What the tensor table says of it, before it has a place in the file.
    pub(super) fn entry(&self) -> TensorEntry {
        let element = match &self.data {
            TensorData::F32(_) => Element::F32,
            TensorData::F16(_) => Element::F16,
            TensorData::Quantized { bits, .. } => Element::Quantized(*bits),
        };
        TensorEntry { name: self.name.clone().into_bytes(), element, shape: self.shape.clone(), group: 0 }
    }

    /// Checks the values; the shape has been checked.
    pub(super) fn check(&self) -> Result<(), ArtifactError> {
        let length = |what, expected: u64, got: usize| match got as u64 {
            got if got == expected => Ok(()),
            got => Err(ArtifactError::DataLength { name: self.name.clone(), what, expected, got }),
        };
        let elements = size::elements(&self.entry())?;
        match &self.data {
            TensorData::F32(values) => {
                length("values", elements, values.len())?;
                self.check_finite(values.iter().copied())
            }
            TensorData::F16(values) => {
                length("values", elements, values.len())?;
                self.check_finite(values.iter().map(|v| v.to_f32()))
            }
            TensorData::Quantized { bits, q, scales } => {
                length("values", elements, q.len())?;
                length("scales", self.shape[0] as u64, scales.len())?;
                self.check_scales(scales)?;
                let range = pack::integer_range(*bits);
                match q.iter().position(|value| !range.contains(value)) {
                    None => Ok(()),
                    Some(index) => Err(self.integer(index, i32::from(q[index]), *bits)),
                }
            }
        }
    }

    fn check_finite(&self, mut values: impl Iterator<Item = f32>) -> Result<(), ArtifactError> {
        match values.by_ref().enumerate().find(|(_, value)| !value.is_finite()) {
            None => Ok(()),
            Some((index, got)) => Err(ArtifactError::Weight { name: self.name.clone(), index, got }),
        }
    }

    fn check_scales(&self, scales: &[f16]) -> Result<(), ArtifactError> {
        // Positive and finite is everything below the bits of infinity; the sign bit is above them.
        match scales.iter().position(|scale| scale.to_bits() >= f16::INFINITY.to_bits()) {
            None => Ok(()),
            Some(row) => {
                Err(ArtifactError::Scale { name: self.name.clone(), row, got: scales[row].to_f32() })
            }
        }
    }

    /// The error for an integer outside its width.
    pub(super) fn integer(&self, index: usize, got: i32, bits: u32) -> ArtifactError {
        ArtifactError::Integer { name: self.name.clone(), index, got, bits }
    }
}
