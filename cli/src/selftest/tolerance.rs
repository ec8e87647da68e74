//! How a deviation is measured and how much of it is allowed: the one table of limits.
//!
//! In single precision the limits are those that the fixtures' authors suggest; in double precision every quantity
//! has a relative measure and the limit 1e-6. Fixtures store most tensors in f32, so even an exact result deviates by
//! one rounding, 6e-8 of each value; where only the *change* of a parameter is judged, that rounding is allowed on top.
//!
//! The suggestions were read off a few fixtures. Others are worse conditioned: what is beyond a limit there is judged by
//! `conditioning`, and the report tells every use of it.

use crate::device::Device;

/// Working precision of the device under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single.
    F32,
    /// Double.
    F64,
}

impl Precision {
    /// The precision that a device computes in.
    pub fn of(device: Device) -> Self {
        match device {
            Device::Reference => Precision::F64,
            Device::Auto | Device::Cpu | Device::Wgpu(_) | Device::Cuda(_) => Precision::F32,
        }
    }
}

/// How two arrays are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Largest absolute difference.
    Absolute,
    /// Largest difference over the largest magnitude expected.
    OfMaximum,
    /// L2 norm of the difference over the L2 norm expected.
    OfNorm,
    /// Largest difference of one value over that value's magnitude.
    OfEach,
    /// L2 norm of the difference over the L2 norm of the parameter's change.
    OfChange,
    /// Number of entries that differ.
    Count,
}

impl Measure {
    /// Short name for tables.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Absolute => "absolute",
            Measure::OfMaximum => "of maximum",
            Measure::OfNorm => "of L2 norm",
            Measure::OfEach => "of value",
            Measure::OfChange => "of change",
            Measure::Count => "entries",
        }
    }

    /// Deviation of `got` from `expected`; NaN when a value is NaN or the lengths differ.
    ///
    /// Panics for [`Measure::OfChange`] and [`Measure::Count`], which have functions of their own.
    pub fn deviation(self, got: &[f64], expected: &[f64]) -> f64 {
        if got.len() != expected.len() {
            return f64::NAN;
        }
        let pairs = || got.iter().zip(expected);
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, nan_max);
        match self {
            Measure::Absolute => largest(&mut pairs().map(|(g, e)| (g - e).abs())),
            Measure::OfMaximum => {
                let top = largest(&mut expected.iter().map(|e| e.abs()));
                ratio(Measure::Absolute.deviation(got, expected), top)
            }
            Measure::OfEach => largest(&mut pairs().map(|(g, e)| ratio((g - e).abs(), e.abs()))),
            Measure::OfNorm => ratio(distance(got, expected), norm(expected)),
            Measure::OfChange | Measure::Count => panic!("`{}` is not a plain comparison", self.name()),
        }
    }
}

/// A larger value wins, and NaN over everything, so that it cannot hide.
pub fn nan_max(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// `difference / scale`, where no difference is 0 whatever the scale.
pub fn ratio(difference: f64, scale: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference / scale.max(f64::MIN_POSITIVE) }
}

/// L2 norm.
pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// L2 norm of a difference.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is named and explained by its row of the table")]
pub enum Quantity {
    Logits,
    Nll,
    Loss,
    Gradient,
    GradientNorm,
    LaterLoss,
    ParameterChange,
    FakeQuant,
    WindowSum,
    ChunkSum,
    Adapted,
    AdaptedDigest,
    NewtonSchulz,
    Update,
    Kernel,
    Angle,
    Error,
    Schedule,
}

/// Limit of every quantity in double precision.
const DOUBLE: f64 = 1e-6;

impl Quantity {
    /// Measure and limit.
    #[rustfmt::skip]
    pub fn rule(self, precision: Precision) -> (Measure, f64) {
        use Measure::*;
        let (single, double) = match self {
            // Model outputs, nats.
            Quantity::Logits          => ((Absolute, 5e-5),  OfMaximum),
            Quantity::Nll             => ((Absolute, 5e-5),  OfMaximum),
            Quantity::Loss            => ((Absolute, 1e-5),  OfEach),
            Quantity::LaterLoss       => ((Absolute, 5e-5),  OfEach),
            // Gradients: per tensor, and the global norm.
            Quantity::Gradient        => ((OfNorm, 5e-4),    OfNorm),
            Quantity::GradientNorm    => ((OfEach, 1e-4),    OfEach),
            // Parameters and averages after updates.
            Quantity::ParameterChange => ((OfChange, 3e-3),  OfChange),
            // Scales of fake quantization; see `fake_quant` for percentiles in single precision.
            Quantity::FakeQuant       => ((OfEach, 4e-7),    OfEach),
            // Sums over windows and chunks.
            Quantity::WindowSum       => ((OfEach, 1e-6),    OfEach),
            Quantity::ChunkSum        => ((OfEach, 1e-5),    OfEach),
            // Parameters after test-time training.
            Quantity::Adapted         => ((OfMaximum, 1e-5), OfMaximum),
            Quantity::AdaptedDigest   => ((OfMaximum, 1e-5), OfChange),
            // Single operations.
            Quantity::NewtonSchulz    => ((OfNorm, 1e-5),    OfNorm),
            Quantity::Update          => ((OfNorm, 1e-5),    OfNorm),
            Quantity::Kernel          => ((OfMaximum, 1e-5), OfMaximum),
            Quantity::Angle           => ((Absolute, 1e-6),  Absolute),
            // What does not depend on the device.
            Quantity::Error           => ((OfEach, 1e-6),    OfEach),
            Quantity::Schedule        => ((OfEach, 1e-12),   OfEach),
        };
        match (precision, double) {
            (_, measure) if self == Quantity::Schedule => (measure, single.1),
            (Precision::F32, _) => single,
            (Precision::F64, measure) => (measure, DOUBLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_and_a_wrong_length_never_pass() {
        for measure in [Measure::Absolute, Measure::OfMaximum, Measure::OfNorm, Measure::OfEach] {
            assert!(measure.deviation(&[f64::NAN, 0.0], &[0.0, 0.0]).is_nan(), "{measure:?}");
            assert!(measure.deviation(&[1.0], &[1.0, 1.0]).is_nan(), "{measure:?}");
            assert!(measure.deviation(&[1e-30], &[0.0]) > 0.0, "{measure:?}");
            assert_eq!(measure.deviation(&[0.0, 2.0], &[0.0, 2.0]), 0.0, "{measure:?}");
        }
    }
}
