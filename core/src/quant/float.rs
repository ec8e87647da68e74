//! The two precisions in which weights are quantized: `f32` for products, `f64` for the oracle.
//!
//! Invariant: every operation but `tanh` and `exp` is one correctly rounded operation of the implementing type, fused only where
//! [`Float::mul_add`] says so, so integers and scales are the same on every machine. It is not a numerics
//! library: it holds what the quantizers use and nothing else.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A floating type that weights are quantized in.
pub trait Float:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// Zero.
    const ZERO: Self;
    /// 1.5 · 2^(mantissa bits): adding and subtracting it rounds to an integer.
    const ROUNDER: Self;
    /// Nearest value of the type.
    fn from_f64(x: f64) -> Self;
    /// The value in double precision, exactly.
    fn to_f64(self) -> f64;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Largest integer not above the value.
    fn floor(self) -> Self;
    /// `self · factor + term`, rounded once.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger of two numbers.
    fn max(self, other: Self) -> Self;
    /// The smaller of two numbers.
    fn min(self, other: Self) -> Self;
    /// Hyperbolic tangent, within a few units in the last place: for soft rounding, which decides no integer.
    fn tanh(self) -> Self;
    /// Exponential, likewise.
    fn exp(self) -> Self;
    /// Total order, for sorting.
    fn total_cmp(&self, other: &Self) -> Ordering;

    /// `clamp(round_half_even(self), lowest, highest)` for integer bounds below 2^21 in magnitude.
    ///
    /// Clamping to integers commutes with rounding, and a clamped value is small enough for the addition that
    /// rounds; unlike a call of `rint` it becomes vector instructions on every target.
    fn round_within(self, lowest: Self, highest: Self) -> Self {
        (self.max(lowest).min(highest) + Self::ROUNDER) - Self::ROUNDER
    }
}

impl Float for f32 {
    const ZERO: Self = 0.0;
    const ROUNDER: Self = 12_582_912.0;
    fn from_f64(x: f64) -> Self {
        x as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn floor(self) -> Self {
        self.floor()
    }
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }
    fn max(self, other: Self) -> Self {
        self.max(other)
    }
    fn min(self, other: Self) -> Self {
        self.min(other)
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn total_cmp(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }
}

impl Float for f64 {
    const ZERO: Self = 0.0;
    const ROUNDER: Self = 6_755_399_441_055_744.0;
    fn from_f64(x: f64) -> Self {
        x
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn floor(self) -> Self {
        self.floor()
    }
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul_add(factor, term)
    }
    fn max(self, other: Self) -> Self {
        self.max(other)
    }
    fn min(self, other: Self) -> Self {
        self.min(other)
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn total_cmp(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }
}

/// Largest magnitude of `values`, 0 of none.
pub(super) fn largest_magnitude<T: Float>(values: &[T]) -> T {
    values.iter().fold(T::ZERO, |top, x| top.max(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_takes_ties_to_the_even_neighbour() {
        for (x, rounded) in
            [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, 0.0), (-1.5, -2.0), (0.499_999_97, 0.0)]
        {
            assert_eq!(Float::round_within(x as f32, -8.0, 7.0), rounded as f32, "{x}");
            assert_eq!(Float::round_within(x, -8.0, 7.0), rounded, "{x}");
        }
    }

    #[test]
    fn rounding_equals_the_standard_library_inside_and_outside_the_bounds() {
        for i in -4000..4000 {
            let x = i as f32 * 0.0625 + 0.001;
            assert_eq!(x.round_within(-128.0, 127.0), x.round_ties_even().clamp(-128.0, 127.0), "{x}");
        }
        assert_eq!(f32::MAX.round_within(-8.0, 7.0), 7.0);
        assert_eq!(f64::NEG_INFINITY.round_within(-8.0, 7.0), -8.0);
    }
}
