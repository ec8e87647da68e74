//! Exporting a whole model: every parameter through the scheme that a recipe gives it.
//!
//! Invariant: one exported tensor per parameter, in the caller's order; all results are finite. This is where
//! values enter quantization, so it is where infinities and NaN are refused. Pruning and Hessians come
//! before, the file after.

use half::f16;
use thiserror::Error;

use super::route::{ExportRecipe, Storage};
use super::rows::Quantized;
use super::scheme::Scheme;

/// Why a parameter cannot be exported.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// A value is infinite or not a number.
    #[error("`{tensor}` element {index} is {value}, expected a finite number")]
    NotFinite {
        /// Parameter.
        tensor: String,
        /// Flat position.
        index: usize,
        /// The value.
        value: f32,
    },
    /// A value of a half-precision tensor is outside ±65504.
    #[error("`{tensor}` element {index} is {value}, expected at most 65504 in magnitude for storage in fp16")]
    ExceedsHalf {
        /// Parameter.
        tensor: String,
        /// Flat position.
        index: usize,
        /// The value.
        value: f32,
    },
}

/// One exported parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Exported {
    /// Half-precision values.
    F16(Vec<f16>),
    /// Single-precision values.
    F32(Vec<f32>),
    /// Integers and steps, and the scheme that made them.
    Quantized(Scheme, Quantized),
}

impl Exported {
    /// The values that a reader of the artifact computes with.
    pub fn dequantize(&self) -> Vec<f32> {
        match self {
            Exported::F16(values) => values.iter().map(|x| x.to_f32()).collect(),
            Exported::F32(values) => values.clone(),
            Exported::Quantized(_, quantized) => quantized.dequantize(),
        }
    }
}

/// Exports `params` (name, shape, values) of a model of `layers` blocks by `recipe`; tensors of at most
/// `passthrough_max_elements` elements are not quantized.
pub fn export<'a>(
    params: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [f32])>,
    recipe: ExportRecipe,
    passthrough_max_elements: usize,
    layers: usize,
) -> Result<Vec<(String, Exported)>, ExportError> {
    let one = |(name, shape, values): (&'a str, &'a [usize], &'a [f32])| {
        let storage = recipe.route(name, shape, passthrough_max_elements, layers);
        Ok((name.to_string(), export_tensor(name, shape, values, storage)?))
    };
    params.into_iter().map(one).collect()
}

/// Exports one parameter in the given form.
pub fn export_tensor(
    name: &str,
    shape: &[usize],
    values: &[f32],
    storage: Storage,
) -> Result<Exported, ExportError> {
    let first = |wrong: fn(&f32) -> bool| values.iter().position(wrong).map(|index| (index, values[index]));
    if let Some((index, value)) = first(|x| !x.is_finite()) {
        return Err(ExportError::NotFinite { tensor: name.to_string(), index, value });
    }
    match storage {
        Storage::Fp32 => Ok(Exported::F32(values.to_vec())),
        Storage::Quantized(scheme) => Ok(Exported::Quantized(scheme, scheme.quantize(shape, values))),
        Storage::Fp16 => match first(|&x| f16::from_f32(x).is_infinite()) {
            Some((index, value)) => Err(ExportError::ExceedsHalf { tensor: name.to_string(), index, value }),
            None => Ok(Exported::F16(values.iter().map(|&x| f16::from_f32(x)).collect())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_file_can_hold_are_refused_with_their_position() {
        let refused = |value: f32, storage| export_tensor("w", &[3], &[0.0, value, 1.0], storage).err();
        let q8 = Storage::Quantized(Scheme::Q8);
        assert!(matches!(refused(f32::NAN, q8), Some(ExportError::NotFinite { index: 1, .. })));
        assert!(matches!(
            refused(f32::INFINITY, Storage::Fp32),
            Some(ExportError::NotFinite { index: 1, .. })
        ));
        assert!(matches!(refused(7e4, Storage::Fp16), Some(ExportError::ExceedsHalf { index: 1, .. })));
        assert_eq!(refused(65_504.0, Storage::Fp16), None);
        assert_eq!(refused(7e4, q8), None);
    }

    #[test]
    fn a_model_is_exported_in_order_by_its_recipe() {
        let matrix: Vec<f32> = (0..64).map(|i| i as f32 / 32.0 - 1.0).collect();
        let (square, short) = ([8usize, 8], [4usize]);
        let params =
            [("blocks.0.mlp.fc.weight", &square[..], &matrix[..]), ("q_gain", &short[..], &matrix[..4])];
        let exported = export(params, ExportRecipe::Int8, 16, 1).expect("finite");
        assert_eq!(
            exported[1],
            ("q_gain".into(), Exported::F16(matrix[..4].iter().map(|&x| f16::from_f32(x)).collect()))
        );
        let Exported::Quantized(scheme, _) = &exported[0].1 else { panic!("a large matrix is quantized") };
        assert_eq!((*scheme, scheme.bits()), (Scheme::Ratio { c: 127 }, 8));
        for (value, original) in exported[0].1.dequantize().iter().zip(&matrix) {
            assert!((value - original).abs() < 1.0 / 128.0);
        }
    }
}
