//! Operand checks shared by every op's type rule.

use super::OpError;
use crate::tensor::{DType, TensorType};

/// The operands of one op under inspection.
pub struct Args<'a> {
    op: &'static str,
    inputs: &'a [&'a TensorType],
}

impl<'a> Args<'a> {
    /// Checks the number of operands.
    pub fn new(op: &'static str, inputs: &'a [&'a TensorType], arity: usize) -> Result<Self, OpError> {
        if inputs.len() != arity {
            return Err(OpError::Arity { op, expected: arity, got: inputs.len() });
        }
        Ok(Self { op, inputs })
    }

    /// Checks that there are operands, and no more than `most`.
    pub fn some(op: &'static str, inputs: &'a [&'a TensorType], most: usize) -> Result<Self, OpError> {
        if inputs.is_empty() || inputs.len() > most {
            return Err(OpError::Count { op, most, got: inputs.len() });
        }
        Ok(Self { op, inputs })
    }

    /// Checks that there are operands.
    pub fn one_or_more(op: &'static str, inputs: &'a [&'a TensorType]) -> Result<Self, OpError> {
        Self::new(op, inputs, inputs.len().max(1))
    }

    fn refuse<T>(&self, operand: usize, expected: impl Into<String>) -> Result<T, OpError> {
        Err(OpError::Operand {
            op: self.op,
            operand,
            expected: expected.into(),
            got: self.inputs[operand].clone(),
        })
    }

    /// Operand `i` must hold under `condition`.
    pub fn ensure(&self, i: usize, condition: bool, expected: impl Into<String>) -> Result<(), OpError> {
        if condition { Ok(()) } else { self.refuse(i, expected) }
    }

    /// Extents of a float matrix.
    pub fn matrix(&self, i: usize) -> Result<[usize; 2], OpError> {
        match (self.inputs[i].dtype, self.inputs[i].shape.as_slice()) {
            (DType::F32, &[rows, cols]) => Ok([rows, cols]),
            _ => self.refuse(i, "a matrix `f32[n,d]`"),
        }
    }

    /// Extents of a matrix that may also be quantized.
    pub fn weight(&self, i: usize) -> Result<[usize; 2], OpError> {
        match (self.inputs[i].dtype, self.inputs[i].shape.as_slice()) {
            (DType::I32, _) => self.refuse(i, "a float or quantized matrix"),
            (_, &[rows, cols]) => Ok([rows, cols]),
            _ => self.refuse(i, "a float or quantized matrix"),
        }
    }

    /// Operand `i` must be a float tensor of this shape.
    pub fn float(&self, i: usize, shape: &[usize]) -> Result<(), OpError> {
        let expected = TensorType::f32(shape);
        if *self.inputs[i] == expected { Ok(()) } else { self.refuse(i, format!("`{expected}`")) }
    }

    /// Operand `i` must be any float tensor; returns its type.
    pub fn any_float(&self, i: usize) -> Result<TensorType, OpError> {
        match self.inputs[i].dtype {
            DType::F32 => Ok(self.inputs[i].clone()),
            _ => self.refuse(i, "a float tensor"),
        }
    }

    /// Operand `i` must be a float tensor with one element.
    pub fn single(&self, i: usize) -> Result<(), OpError> {
        let ty = self.any_float(i)?;
        self.ensure(i, ty.numel() == 1, "a float tensor of one element")
    }

    /// Operand `i` must be a vector of integers; returns its length.
    pub fn ids(&self, i: usize) -> Result<usize, OpError> {
        match (self.inputs[i].dtype, self.inputs[i].shape.as_slice()) {
            (DType::I32, &[n]) => Ok(n),
            _ => self.refuse(i, "a vector `i32[n]`"),
        }
    }

    /// Operand `i` must be a run-time position.
    pub fn position(&self, i: usize) -> Result<(), OpError> {
        let expected = TensorType::i32(&[1]);
        if *self.inputs[i] == expected { Ok(()) } else { self.refuse(i, format!("`{expected}`")) }
    }

    /// `cols` columns of operand `i` must be whole heads.
    pub fn heads(&self, i: usize, cols: usize, heads: usize) -> Result<(), OpError> {
        self.ensure(i, cols.is_multiple_of(heads), format!("columns divisible by {heads} heads"))
    }

    /// `rows` tokens must be whole windows of `seq`.
    pub fn windows(&self, i: usize, rows: usize, seq: usize) -> Result<(), OpError> {
        self.ensure(i, seq > 0 && rows.is_multiple_of(seq), format!("a multiple of {seq} rows"))
    }
}
