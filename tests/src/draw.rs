//! Seeded random tensors: the same on every machine, exact in f32, so that every backend sees the same numbers.

use golf_core::ops::Op;
use golf_core::quant::pack::{integer_range, pack};
use golf_core::tensor::{DType, Data, Tensor, TensorType};
use half::f16;

/// A stream of random numbers (SplitMix64, Steele et al., OOPSLA 2014).
pub struct Draw(u64);

impl Draw {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Uniform in `(0, 1)`.
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 40) as f64 + 0.5) / (1u64 << 24) as f64
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (-2.0 * self.uniform().ln(), std::f64::consts::TAU * self.uniform());
        radius.sqrt() * angle.cos()
    }

    /// Normal floats of standard deviation `scale`.
    pub fn floats(&mut self, shape: &[usize], scale: f64) -> Tensor {
        let n = shape.iter().product();
        Tensor::f32(shape, (0..n).map(|_| (scale * self.normal()) as f32).collect())
    }

    /// Floats in `(low, high)`.
    pub fn between(&mut self, shape: &[usize], low: f64, high: f64) -> Tensor {
        let n = shape.iter().product();
        Tensor::f32(shape, (0..n).map(|_| (low + (high - low) * self.uniform()) as f32).collect())
    }

    /// `n` indices below `bound`.
    pub fn ids(&mut self, n: usize, bound: usize) -> Tensor {
        Tensor::i32(&[n], (0..n).map(|_| self.below(bound) as i32).collect())
    }

    /// A packed matrix of `bits`-bit integers with scales near 0.05.
    pub fn packed(&mut self, bits: u32, rows: usize, cols: usize) -> Tensor {
        let range = integer_range(bits);
        let (low, count) = (i32::from(*range.start()), range.count());
        let q: Vec<i8> = (0..rows * cols).map(|_| (low + self.below(count) as i32) as i8).collect();
        let scales: Vec<f16> = (0..rows).map(|_| f16::from_f64(0.03 + 0.04 * self.uniform())).collect();
        let dtype = DType::from_quant_bits(bits).expect("a width that operands have");
        let ty = TensorType { dtype, shape: vec![rows, cols] };
        Tensor::new(ty, Data::Packed(pack(bits, rows, cols, &q, &scales)))
    }
}

/// The oracle's view of a tensor: floats in f64.
pub fn widen(tensor: &Tensor) -> Tensor {
    match tensor.ty().dtype {
        DType::F32 => Tensor::f64(tensor.shape(), tensor.to_f64()),
        _ => tensor.clone(),
    }
}

/// Results of `op` by its definition, rounded to f32: operands of its gradient.
pub fn evaluate(op: impl Into<Op>, inputs: &[Tensor]) -> Vec<Tensor> {
    let (op, wide) = (op.into(), inputs.iter().map(widen).collect::<Vec<_>>());
    let types: Vec<&TensorType> = inputs.iter().map(Tensor::ty).collect();
    let results = op.def().infer(&types).expect("a case is well typed");
    let mut outputs: Vec<Tensor> = results.iter().map(|ty| widen(&Tensor::zeros(ty))).collect();
    op.def().eval(&wide.iter().collect::<Vec<_>>(), &mut outputs);
    outputs
        .iter()
        .map(|y| if y.ty().dtype == DType::F32 { Tensor::f32(y.shape(), y.to_f32()) } else { y.clone() })
        .collect()
}
