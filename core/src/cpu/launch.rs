//! What a kernel is given: operands to read, results to write, threads, scratch.

use super::buffer::Buffer;
use super::rope::RopeTables;
use super::threads::Threads;
use crate::tensor::TensorType;
use std::borrow::Cow;

/// An operand of a step.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    /// Type.
    pub ty: &'a TensorType,
    /// Its words; empty for an operand that the kernel overwrites, which is found in the result instead.
    pub words: &'a [f32],
}

impl<'a> Operand<'a> {
    /// The floats.
    pub(super) fn f32s(&self) -> &'a [f32] {
        self.words
    }

    /// The integers.
    pub(super) fn i32s(&self) -> &'a [i32] {
        bytemuck::cast_slice(self.words)
    }

    /// Extents of a matrix.
    pub(super) fn matrix(&self) -> [usize; 2] {
        [self.ty.shape[0], self.ty.shape[1]]
    }

    /// The only value of a one-element operand, in f64 so that factors are formed before they are rounded.
    pub(super) fn item(&self) -> f64 {
        f64::from(self.words[0])
    }

    /// The run-time position that a one-element operand of integers holds.
    pub(super) fn position(&self) -> usize {
        self.i32s()[0] as usize
    }

    /// Width of its integers and their words, when packed.
    pub(super) fn packed(&self) -> Option<(u32, &'a [u32])> {
        self.ty.dtype.quant_bits().map(|bits| (bits, bytemuck::cast_slice(self.words)))
    }

    /// The floats of a matrix, dequantized by row where it is packed.
    pub(super) fn dense(&self, threads: &Threads) -> Cow<'a, [f32]> {
        let Some((bits, words)) = self.packed() else { return self.words.into() };
        let [rows, cols] = self.matrix();
        let mut out = vec![0.0; rows * cols];
        let chunk = 64;
        threads.each(out.chunks_mut(chunk * cols).collect(), |index, out| {
            for (r, out) in out.chunks_exact_mut(cols).enumerate() {
                crate::quant::pack::dequantize_row(bits, words, rows, cols, index * chunk + r, out);
            }
        });
        out.into()
    }
}

/// One step as its kernel sees it.
pub(super) struct Launch<'a> {
    /// Operands, in the op's order.
    pub inputs: Vec<Operand<'a>>,
    /// Results, in the op's order; those computed in place hold the operand's values, others garbage.
    pub outputs: Vec<&'a mut [f32]>,
    /// Where to run.
    pub threads: &'a Threads,
    /// Scratch that is kept between steps; contents unspecified.
    pub scratch: &'a mut Buffer,
    /// Tables of rotary angles, made when the plan was compiled.
    pub rope: &'a RopeTables,
}

impl<'a> Launch<'a> {
    /// The operands' floats, of an op with `N` of them, all floats.
    pub(super) fn floats<const N: usize>(&self) -> [&'a [f32]; N] {
        std::array::from_fn(|i| self.inputs[i].words)
    }

    /// The results, of an op with `N` of them.
    pub(super) fn results<const N: usize>(&mut self) -> [&'a mut [f32]; N] {
        let outputs = std::mem::take(&mut self.outputs);
        let got = outputs.len();
        outputs.try_into().unwrap_or_else(|_| panic!("the op's type rule gives {got} results, not {N}"))
    }
}
