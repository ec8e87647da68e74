//! Buffers: 32-bit words whose start is aligned to a cache line, so that vector loads never straddle two.
//!
//! Words are kept as `f32`; integers and packed rows are the same bits seen through `bytemuck`.

use crate::tensor::{DType, Data, Tensor, TensorType};
use bytemuck::{Pod, Zeroable};

/// One cache line, which is also the widest vector register.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A buffer of words.
#[derive(Default)]
pub(super) struct Buffer {
    lines: Vec<Line>,
    words: usize,
}

impl Buffer {
    /// A buffer of zeros.
    pub(super) fn zeros(words: usize) -> Self {
        Self { lines: vec![Line([0.0; 16]); words.div_ceil(16)], words }
    }

    /// Its size.
    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&*self.lines) as u64
    }

    /// The words.
    pub(super) fn words(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.words]
    }

    /// The words, mutable.
    pub(super) fn words_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.words]
    }

    /// The first `words` words after growing to at least that many; what they hold is unspecified.
    pub(super) fn at_least(&mut self, words: usize) -> &mut [f32] {
        if self.words < words {
            *self = Self::zeros(words);
        }
        &mut self.words_mut()[..words]
    }

    /// Takes over the values of a tensor that is no longer than the buffer.
    pub(super) fn write(&mut self, tensor: &Tensor) {
        let words = self.words_mut();
        match tensor.data() {
            Data::F32(v) => words[..v.len()].copy_from_slice(v),
            Data::F64(v) => words.iter_mut().zip(v).for_each(|(w, &x)| *w = x as f32),
            Data::I32(v) => words[..v.len()].copy_from_slice(bytemuck::cast_slice(v)),
            Data::Packed(v) => words[..v.len()].copy_from_slice(bytemuck::cast_slice(v)),
        }
    }

    /// The first words as a tensor of type `ty`.
    pub(super) fn read(&self, ty: &TensorType) -> Tensor {
        let words = &self.words()[..ty.words()];
        let data = match ty.dtype {
            DType::F32 => Data::F32(words.to_vec()),
            DType::I32 => Data::I32(bytemuck::cast_slice(words).to_vec()),
            DType::Q4 | DType::Q5 | DType::Q6 | DType::Q8 => {
                Data::Packed(bytemuck::cast_slice(words).to_vec())
            }
        };
        Tensor::new(ty.clone(), data)
    }
}
