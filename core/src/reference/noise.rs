//! Roundings of single precision and of bf16 as noise on numbers of double precision.

use crate::tensor::{Data, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The largest relative error of one rounding in single precision.
pub(super) const SINGLE: f64 = f32::EPSILON as f64 / 2.0;

/// The largest relative error of one rounding to bf16.
pub(super) const BF16: f64 = 1.0 / (1 << 9) as f64;

/// A source of roundings.
#[derive(Clone, Debug)]
pub(super) struct Noise(ChaCha8Rng);

impl Noise {
    /// The same seed gives the same roundings.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Moves every float by one rounding of this size, up or down; zeros and integers stay.
    pub fn add(&mut self, rounding: f64, tensor: &mut Tensor) {
        if !matches!(tensor.data(), Data::F64(_)) {
            return;
        }
        let mut values = tensor.to_f64();
        self.add_to(rounding, &mut values);
        *tensor = Tensor::f64(tensor.shape(), values);
    }

    /// The same for plain numbers.
    pub fn add_to(&mut self, rounding: f64, values: &mut [f64]) {
        for chunk in values.chunks_mut(64) {
            let signs = self.0.next_u64();
            for (bit, value) in chunk.iter_mut().enumerate() {
                *value *= if signs >> bit & 1 == 0 { 1.0 + rounding } else { 1.0 - rounding };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_moves_by_one_rounding_either_way() {
        let before = Tensor::f64(&[200], (0..200).map(|i| f64::from(i) - 100.0).collect());
        let mut after = before.clone();
        Noise::new(1).add(SINGLE, &mut after);
        let off: Vec<f64> =
            before.to_f64().iter().zip(after.to_f64()).map(|(b, a)| (a / b - 1.0) / SINGLE).collect();
        assert!(off.iter().enumerate().all(|(i, x)| i == 100 || (x.abs() - 1.0).abs() < 1e-6), "{off:?}");
        let ups = off.iter().filter(|x| **x > 0.0).count();
        assert!((60..140).contains(&ups), "{ups}");
        assert_eq!(after.to_f64()[100], 0.0);
        let mut other = before;
        Noise::new(2).add(SINGLE, &mut other);
        assert_ne!(other, after);
    }
}
