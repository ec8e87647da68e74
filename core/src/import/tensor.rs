//! A tensor as it was imported: the integers and scales of the file, or its floats, never a lossy mix.
//!
//! Invariant: the data's length is the product of the shape; scales are finite and either one or one per row;
//! integers fit the stated bits. What dtype the writer's own loader would restore travels along, because a file that
//! lists `bfloat16` for its embedding is scored by its authors with rounded embeddings.

use half::{bf16, f16};

/// A floating type of torch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FloatType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    BF16,
}

impl FloatType {
    /// The type with torch's name, without the `torch.` prefix.
    pub fn from_torch_name(name: &str) -> Option<Self> {
        match name {
            "float32" => Some(Self::F32),
            "float16" => Some(Self::F16),
            "bfloat16" => Some(Self::BF16),
            _ => None,
        }
    }

    /// `value` rounded to this type, to nearest even.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::BF16 => bf16::from_f32(value).to_f32(),
        }
    }
}

/// Row scales as stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Scales {
    /// Half precision.
    F16(Vec<f16>),
    /// Single precision.
    F32(Vec<f32>),
}

impl Scales {
    /// Number of scales.
    pub fn len(&self) -> usize {
        match self {
            Self::F16(scales) => scales.len(),
            Self::F32(scales) => scales.len(),
        }
    }

    /// No scales at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Scale `row` in single precision; exact. Panics beyond [`Scales::len`].
    pub fn get(&self, row: usize) -> f32 {
        match self {
            Self::F16(scales) => scales[row].to_f32(),
            Self::F32(scales) => scales[row],
        }
    }
}

/// Values of an imported tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum ImportedData {
    /// Integers with scales: `w = q · scale`, in single precision.
    Quantized {
        /// The integers, row-major.
        q: Vec<i8>,
        /// One scale per row (first dimension) or one for all.
        scales: Scales,
        /// One scale per row.
        per_row: bool,
        /// Fewest of 4, 5, 6 and 8 bits that hold every integer in two's complement.
        bits: u32,
    },
    /// Single precision.
    F32(Vec<f32>),
    /// Half precision.
    F16(Vec<f16>),
    /// bfloat16.
    BF16(Vec<bf16>),
}

/// Which values [`Imported::to_f32`] gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rounding {
    /// Rounded to [`Imported::restore`], as the writer's own loader does.
    #[default]
    Restored,
    /// The plain single-precision product or value.
    Exact,
}

/// A named tensor out of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Name in the state dict.
    pub name: String,
    /// Extents; empty for a scalar.
    pub shape: Vec<usize>,
    /// The type that the writer's own loader restores.
    pub restore: FloatType,
    /// The values.
    pub data: ImportedData,
}

impl Imported {
    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values in single precision.
    pub fn to_f32(&self, rounding: Rounding) -> Vec<f32> {
        let mut values: Vec<f32> = match &self.data {
            ImportedData::F32(values) => values.clone(),
            ImportedData::F16(values) => values.iter().map(|v| v.to_f32()).collect(),
            ImportedData::BF16(values) => values.iter().map(|v| v.to_f32()).collect(),
            ImportedData::Quantized { q, scales, per_row, .. } => {
                let row = if *per_row { (q.len() / scales.len().max(1)).max(1) } else { q.len().max(1) };
                let rows = q.chunks(row).enumerate();
                rows.flat_map(|(r, q)| q.iter().map(move |&q| f32::from(q) * scales.get(r))).collect()
            }
        };
        if rounding == Rounding::Restored && self.restore != FloatType::F32 {
            values.iter_mut().for_each(|v| *v = self.restore.round(*v));
        }
        values
    }
}

/// Fewest of 4, 5, 6 and 8 bits whose two's complement range holds all of `q`.
pub fn smallest_bits(q: &[i8]) -> u32 {
    // For q ≥ 0 the bit pattern itself, for q < 0 its complement: the magnitude that must stay below 2^(bits-1).
    let most = q.iter().map(|&v| if v < 0 { !v } else { v }).max().unwrap_or(0);
    [4, 5, 6].into_iter().find(|bits| most < 1 << (bits - 1)).unwrap_or(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_the_fewest_that_hold_both_ends() {
        let cases: [(&[i8], u32); 9] = [
            (&[], 4),
            (&[-8, 7], 4),
            (&[8], 5),
            (&[-9], 5),
            (&[-16, 15], 5),
            (&[16], 6),
            (&[-32, 31], 6),
            (&[-33], 8),
            (&[-128, 127], 8),
        ];
        for (q, bits) in cases {
            assert_eq!(smallest_bits(q), bits, "{q:?}");
        }
    }

    #[test]
    fn products_are_single_precision_and_round_only_when_asked() {
        let tensor = Imported {
            name: "w".into(),
            shape: vec![2, 2],
            restore: FloatType::BF16,
            data: ImportedData::Quantized {
                q: vec![3, -5, 7, 127],
                scales: Scales::F16(vec![f16::from_f32(0.007_873_535), f16::from_f32(0.045_776_367)]),
                per_row: true,
                bits: 8,
            },
        };
        let exact = tensor.to_f32(Rounding::Exact);
        assert_eq!(
            exact,
            [3.0 * 0.007_873_535, -5.0 * 0.007_873_535, 7.0 * 0.045_776_367, 127.0 * 0.045_776_367]
        );
        let rounded = tensor.to_f32(Rounding::Restored);
        assert_eq!(rounded[3].to_bits() & 0xffff, 0);
        assert!((rounded[3] - exact[3]).abs() <= exact[3] / 256.0 && rounded[3] != exact[3]);
    }
}
