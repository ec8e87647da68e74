//! Host tensors and their types: contiguous, row-major, rank at most 4; no strides, no views.
//!
//! A [`TensorType`] is what graphs and plans speak of; a [`Tensor`] adds the values. Floating values are
//! `f32` everywhere except inside the oracle, which carries the same types with `f64` data.

use std::fmt;

/// Element type of a value in a graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// 32-bit float (the oracle computes it in 64 bits).
    F32,
    /// 32-bit signed integer: token ids, hash buckets.
    I32,
    /// 4-bit rows with one fp16 scale each; see [`crate::quant::pack`].
    Q4,
    /// 5-bit rows with one fp16 scale each.
    Q5,
    /// 6-bit rows with one fp16 scale each.
    Q6,
    /// 8-bit rows with one fp16 scale each.
    Q8,
}

impl DType {
    /// Bits per weight of a quantized type, `None` for plain ones.
    pub fn quant_bits(self) -> Option<u32> {
        match self {
            DType::F32 | DType::I32 => None,
            DType::Q4 => Some(4),
            DType::Q5 => Some(5),
            DType::Q6 => Some(6),
            DType::Q8 => Some(8),
        }
    }

    /// The quantized type with `bits` bits per weight.
    pub fn from_quant_bits(bits: u32) -> Option<DType> {
        match bits {
            4 => Some(DType::Q4),
            5 => Some(DType::Q5),
            6 => Some(DType::Q6),
            8 => Some(DType::Q8),
            _ => None,
        }
    }
}

/// Shape and element type. The empty shape is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// Element type.
    pub dtype: DType,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
}

impl TensorType {
    /// An `f32` tensor type.
    pub fn f32(shape: &[usize]) -> Self {
        Self { dtype: DType::F32, shape: shape.to_vec() }
    }

    /// An `i32` tensor type.
    pub fn i32(shape: &[usize]) -> Self {
        Self { dtype: DType::I32, shape: shape.to_vec() }
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of 32-bit words that a buffer for this type holds.
    pub fn words(&self) -> usize {
        match self.dtype.quant_bits() {
            None => self.numel(),
            Some(bits) => crate::quant::pack::packed_words(bits, self.shape[0], self.shape[1]),
        }
    }

    /// Number of bytes that a buffer for this type holds.
    pub fn bytes(&self) -> usize {
        self.words() * 4
    }
}

impl fmt::Display for TensorType {
    /// Prints like `f32[4,512]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{:?}", self.dtype).to_lowercase();
        let dims: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{name}[{}]", dims.join(","))
    }
}

/// Values of a [`Tensor`].
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision: the oracle's view of an `F32` type.
    F64(Vec<f64>),
    /// Integers.
    I32(Vec<i32>),
    /// Packed quantized rows in the layout of [`crate::quant::pack`].
    Packed(Vec<u32>),
}

/// A host tensor. Invariant: the data's length is what the type asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    ty: TensorType,
    data: Data,
}

impl Tensor {
    /// Builds a tensor; panics when data and type disagree, which is a bug of the caller.
    pub fn new(ty: TensorType, data: Data) -> Self {
        let (len, fits) = match &data {
            Data::F32(v) => (v.len(), ty.dtype == DType::F32),
            Data::F64(v) => (v.len(), ty.dtype == DType::F32),
            Data::I32(v) => (v.len(), ty.dtype == DType::I32),
            Data::Packed(v) => (v.len(), ty.dtype.quant_bits().is_some()),
        };
        assert!(fits && len == ty.words(), "tensor data of {len} words does not fit type `{ty}`");
        Self { ty, data }
    }

    /// An `f32` tensor.
    pub fn f32(shape: &[usize], values: Vec<f32>) -> Self {
        Self::new(TensorType::f32(shape), Data::F32(values))
    }

    /// An `F32`-typed tensor with `f64` data.
    pub fn f64(shape: &[usize], values: Vec<f64>) -> Self {
        Self::new(TensorType::f32(shape), Data::F64(values))
    }

    /// An `i32` tensor.
    pub fn i32(shape: &[usize], values: Vec<i32>) -> Self {
        Self::new(TensorType::i32(shape), Data::I32(values))
    }

    /// A scalar in double precision; backends round it to their own.
    pub fn scalar(value: f64) -> Self {
        Self::f64(&[], vec![value])
    }

    /// A tensor of zeros; packed types are all-zero words.
    pub fn zeros(ty: &TensorType) -> Self {
        let data = match ty.dtype {
            DType::F32 => Data::F32(vec![0.0; ty.numel()]),
            DType::I32 => Data::I32(vec![0; ty.numel()]),
            _ => Data::Packed(vec![0; ty.words()]),
        };
        Self { ty: ty.clone(), data }
    }

    /// Type.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// Extents.
    pub fn shape(&self) -> &[usize] {
        &self.ty.shape
    }

    /// Raw data.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The values in single precision (rounded from `f64`); panics for other types.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(v) => v.clone(),
            Data::F64(v) => v.iter().map(|&x| x as f32).collect(),
            other => panic!("`{}` tensor read as floats: {}", self.ty, kind(other)),
        }
    }

    /// The values in double precision; panics for other types.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
            Data::F64(v) => v.clone(),
            other => panic!("`{}` tensor read as floats: {}", self.ty, kind(other)),
        }
    }

    /// The `f64` values of an oracle tensor, borrowed.
    pub fn f64s(&self) -> &[f64] {
        match &self.data {
            Data::F64(v) => v,
            other => panic!("`{}` tensor read as f64: {}", self.ty, kind(other)),
        }
    }

    /// The `f64` values of an oracle tensor, mutable.
    pub fn f64s_mut(&mut self) -> &mut [f64] {
        match &mut self.data {
            Data::F64(v) => v,
            other => panic!("tensor read as f64: {}", kind(other)),
        }
    }

    /// The `f32` values, borrowed.
    pub fn f32s(&self) -> &[f32] {
        match &self.data {
            Data::F32(v) => v,
            other => panic!("`{}` tensor read as f32: {}", self.ty, kind(other)),
        }
    }

    /// The integers, borrowed.
    pub fn i32s(&self) -> &[i32] {
        match &self.data {
            Data::I32(v) => v,
            other => panic!("`{}` tensor read as i32: {}", self.ty, kind(other)),
        }
    }

    /// The integers, mutable.
    pub fn i32s_mut(&mut self) -> &mut [i32] {
        match &mut self.data {
            Data::I32(v) => v,
            other => panic!("tensor read as i32: {}", kind(other)),
        }
    }

    /// The packed words, borrowed.
    pub fn words(&self) -> &[u32] {
        match &self.data {
            Data::Packed(v) => v,
            other => panic!("`{}` tensor read as packed words: {}", self.ty, kind(other)),
        }
    }

    /// The single value of a one-element tensor.
    pub fn item(&self) -> f64 {
        assert_eq!(self.ty.numel(), 1, "`item` of a tensor `{}`", self.ty);
        match &self.data {
            Data::F32(v) => f64::from(v[0]),
            Data::F64(v) => v[0],
            Data::I32(v) => f64::from(v[0]),
            Data::Packed(_) => panic!("`item` of a packed tensor"),
        }
    }
}

fn kind(data: &Data) -> &'static str {
    match data {
        Data::F32(_) => "holds f32",
        Data::F64(_) => "holds f64",
        Data::I32(_) => "holds i32",
        Data::Packed(_) => "holds packed words",
    }
}
