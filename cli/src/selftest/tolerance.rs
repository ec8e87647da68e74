//! How a deviation is measured and how much of it is allowed: the one table of limits.
//!
//! In single precision the limits are those that the fixtures' authors suggest; in double precision every quantity
//! has a relative measure and the limit 1e-6. Fixtures store most tensors in f32, so even an exact result deviates by
//! one rounding, 6e-8 of each value; where only the *change* of a parameter is judged, that rounding is allowed on top.
//!
//! The suggestions were read off a few fixtures. On others the oracle itself, run in single precision, is beyond them; a
//! fixture records by how much, and [`raised`] says what that allows. A report tells every use of it.

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
            Device::Auto | Device::Cpu | Device::Wgpu(_) => Precision::F32,
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

/// How often the oracle's own loss in single precision a device may lose. Two correct implementations round in another
/// order, so their losses differ by a small factor. Measured on 479 random models (`docs/LOG.md`): wherever oracle and
/// CPU backend were beyond a suggested limit for the same reason, the backend lost up to 2.5 times as much; beyond that
/// the reasons differ, and no small factor helps.
const ORACLE_LOSSES: f64 = 3.0;

/// How often the suggested limit is the most that a record can buy, so that no record switches a check off.
const MOST_RAISED: f64 = 10.0;

/// The limit in single precision on a fixture that records `oracle_loss`: never below `suggested`.
pub fn raised(suggested: f64, oracle_loss: Option<f64>) -> f64 {
    raised_within(suggested, oracle_loss, MOST_RAISED * suggested)
}

/// The same with a bound of its own.
pub fn raised_within(suggested: f64, oracle_loss: Option<f64>, most: f64) -> f64 {
    match oracle_loss {
        Some(loss) if loss > 0.0 => (ORACLE_LOSSES * loss).min(most).max(suggested),
        // Absent, nothing lost, or no number.
        _ => suggested,
    }
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

    #[test]
    fn a_record_raises_a_limit_up_to_a_bound_and_never_lowers_it() {
        assert_eq!(raised(1e-5, None), 1e-5);
        assert_eq!(raised(1e-5, Some(1e-7)), 1e-5);
        assert_eq!(raised(1e-5, Some(1e-5)), ORACLE_LOSSES * 1e-5);
        assert_eq!(raised(1e-5, Some(1e3)), MOST_RAISED * 1e-5);
        for nonsense in [0.0, -1.0, f64::NAN] {
            assert_eq!(raised(1e-5, Some(nonsense)), 1e-5, "{nonsense}");
        }
        assert_eq!(raised(1e-5, Some(f64::INFINITY)), MOST_RAISED * 1e-5);
    }
}
