//! Quantized tensors: integers of at most 8 bits with one step per row, and back to floats.
//!
//! Invariant: `q` holds `rows · cols` integers, row-major; there is one step per row, or a single one for a
//! tensor that is not a matrix, which counts as one row. Every step is finite and positive. This is the
//! exchange form between quantizers and everything that stores or computes; bit packing is [`super::pack`]'s.

use half::f16;

/// Steps between neighbouring integers.
#[derive(Clone, Debug, PartialEq)]
pub enum Scales {
    /// One per row of a matrix.
    PerRow(Vec<f16>),
    /// One for a tensor that is not a matrix.
    Half(f16),
    /// One in single precision, for a tensor that is not a matrix (the int8 and S861 exporters).
    Single(f32),
}

impl Scales {
    /// The step of row `row`.
    pub fn step(&self, row: usize) -> f32 {
        match self {
            Scales::PerRow(steps) => steps[row].to_f32(),
            Scales::Half(step) => step.to_f32(),
            Scales::Single(step) => *step,
        }
    }
}

/// A quantized tensor: value `(r, j)` is `q[r·cols + j] · step(r)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// Rows; 1 for a tensor that is not a matrix.
    pub rows: usize,
    /// Columns; the element count of a tensor that is not a matrix.
    pub cols: usize,
    /// Integers `[rows, cols]`.
    pub q: Vec<i8>,
    /// Steps.
    pub scales: Scales,
}

impl Quantized {
    /// The values `[rows, cols]` in single precision: one rounded product each.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.q.len());
        for row in 0..self.rows {
            let step = self.scales.step(row);
            values
                .extend(self.q[row * self.cols..(row + 1) * self.cols].iter().map(|&q| f32::from(q) * step));
        }
        values
    }
}

/// Nearest fp16 step, kept finite: a step above the largest fp16 number saturates, one that would round to
/// zero becomes the smallest normal number. Published exporters divide by zero, or store infinity, there.
pub fn half_step(step: f32) -> f16 {
    let half = f16::from_f32(step);
    if half == f16::ZERO { f16::MIN_POSITIVE } else { half.min(f16::MAX) }
}

/// Bits of the narrowest storage type for integers in `[-(c+1), c]`: 4, 5, 6, and 8 for anything wider
/// (`c = 63` has 7 bits, for which there is no packed type).
pub fn storage_bits(c: u32) -> u32 {
    assert!(c <= 127, "integer bound {c} does not fit eight bits");
    match c {
        0..=7 => 4,
        8..=15 => 5,
        16..=31 => 6,
        _ => 8,
    }
}
