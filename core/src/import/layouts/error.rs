//! Why a pickle holds no model in a known layout.

use thiserror::Error;

use super::super::storage::StorageError;

/// Why the contents of a pickle are not a model in a known layout.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The top level is not one of the layouts.
    #[error(
        "unknown layout: {got}\nhint: expected a state dict, or an export with `__quant_format__` or `w` and `m`"
    )]
    Unknown {
        /// What is there.
        got: String,
    },
    /// A format string that is not known.
    #[error("unknown `__quant_format__` `{got}`: expected `int<bits>_clean_per_row_v1`")]
    Format {
        /// The string.
        got: String,
    },
    /// A part of a layout is missing.
    #[error("`{key}` is missing")]
    Missing {
        /// Its key.
        key: String,
    },
    /// A part of a layout is of the wrong kind.
    #[error("`{key}` is {got}: expected {expected}")]
    Kind {
        /// Its key.
        key: String,
        /// What would be accepted.
        expected: &'static str,
        /// What it is.
        got: &'static str,
    },
    /// Something that no parameter claims.
    #[error(
        "`{key}` belongs to no parameter of this layout\nhint: extensions such as low-rank corrections are not read"
    )]
    Unclaimed {
        /// Its key.
        key: String,
    },
    /// A parameter given twice.
    #[error("parameter `{name}` is given twice")]
    Duplicate {
        /// The parameter.
        name: String,
    },
    /// A scheme other than per-row.
    #[error("parameter `{name}`: unknown quantization `{got}`")]
    Scheme {
        /// The parameter.
        name: String,
        /// The scheme.
        got: String,
    },
    /// A dtype to restore that is not a float.
    #[error("parameter `{name}`: dtype `{got}`: expected float32, float16 or bfloat16")]
    Dtype {
        /// The parameter.
        name: String,
        /// The dtype.
        got: String,
    },
    /// Values of an unfitting type.
    #[error("parameter `{name}` holds {got}: expected {expected}")]
    Values {
        /// The parameter.
        name: String,
        /// What would be accepted.
        expected: &'static str,
        /// What is there.
        got: &'static str,
    },
    /// Scales that do not belong to the integers' shape.
    #[error(
        "parameter `{name}` of shape {shape:?} has scales of shape {scales:?}: expected one per row, or a scalar"
    )]
    ScaleShape {
        /// The parameter.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The scales' shape.
        scales: Vec<usize>,
    },
    /// A scale that is infinite or not a number.
    #[error("parameter `{name}`: scale {index} is {got}: expected a finite number")]
    ScaleValue {
        /// The parameter.
        name: String,
        /// Its position.
        index: usize,
        /// The scale.
        got: f32,
    },
    /// Nibbles that do not hold the stated shape.
    #[error("parameter `{name}`: nibbles of shape {got:?} do not hold {expected:?}")]
    Nibbles {
        /// The parameter.
        name: String,
        /// Stated rows and columns.
        expected: Vec<usize>,
        /// Shape of the packed bytes.
        got: Vec<usize>,
    },
    /// A bank that is not a stack of as many matrices as the layers ask for.
    #[error("bank `{name}` of shape {got:?}: expected {expected}")]
    Bank {
        /// The bank.
        name: String,
        /// What would be accepted.
        expected: String,
        /// Its shape.
        got: Vec<usize>,
    },
    /// More parameters than the limit.
    #[error("{got} parameters: expected at most {limit}")]
    TooMany {
        /// How many.
        got: usize,
        /// The limit.
        limit: usize,
    },
    /// A tensor without values.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
