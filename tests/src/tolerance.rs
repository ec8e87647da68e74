//! How far a backend may be from the oracle: the one place that says so.

use golf_core::tensor::{Data, Tensor};

/// Unit roundoff of f32 arithmetic.
pub const F32: f64 = 1.0 / (1u64 << 24) as f64;

/// Unit roundoff of bf16 operands.
pub const BF16: f64 = 1.0 / (1u64 << 9) as f64;

/// Largest allowed difference from `want`, one entry of a result whose root mean square is `rms`.
///
/// An entry is a sum of up to `terms` rounded terms. Rounding errors add up like a random walk, in the scale of the
/// whole result rather than of the entry, which may have cancelled. `condition` is by how much the case amplifies
/// relative errors (the size of the largest exponent, for a softmax); it is 1 unless the case says why not.
pub fn tolerance(unit: f64, terms: usize, condition: f64, want: f64, rms: f64) -> f64 {
    unit * condition * (4.0 + 2.0 * (terms as f64).sqrt()) * (want.abs() + rms)
}

/// Checks a result against the oracle's; says where it is worst when it is outside.
pub fn compare(got: &Tensor, want: &Tensor, unit: f64, terms: usize, condition: f64) -> Result<(), String> {
    if got.ty() != want.ty() {
        return Err(format!("type: expected `{}`, got `{}`", want.ty(), got.ty()));
    }
    if !matches!(want.data(), Data::F64(_)) {
        return if got.data() == want.data() { Ok(()) } else { Err("integers differ".to_owned()) };
    }
    let (got, want) = (got.to_f64(), want.f64s());
    let squares: f64 = want.iter().filter(|x| x.is_finite()).map(|x| x * x).sum();
    let rms = (squares / want.len().max(1) as f64).sqrt();
    let excess = |i: usize| {
        // What is not finite must be the same; NaN is NaN, whatever its bits.
        if got[i] == want[i] || got[i].is_nan() && want[i].is_nan() {
            return 0.0;
        }
        let allowed = tolerance(unit, terms, condition, want[i], rms).max(f64::MIN_POSITIVE);
        let ratio = (got[i] - want[i]).abs() / allowed;
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    };
    let worst = (0..want.len()).max_by(|&a, &b| excess(a).total_cmp(&excess(b)));
    match worst.filter(|&i| excess(i) > 1.0) {
        None => Ok(()),
        Some(i) => Err(format!(
            "entry {i}: expected {}, got {}: {:.2} times the tolerance",
            want[i],
            got[i],
            excess(i)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(got: &[f32], want: &[f64]) -> Result<(), String> {
        let n = got.len();
        compare(&Tensor::f32(&[n], got.to_vec()), &Tensor::f64(&[n], want.to_vec()), F32, 1, 1.0)
    }

    #[test]
    fn a_rounded_result_passes_and_a_wrong_one_does_not() {
        assert_eq!(check(&[1.0, 0.1], &[1.0, 0.1]), Ok(()));
        assert!(check(&[1.0, 0.100_01], &[1.0, 0.1]).is_err());
        assert!(check(&[1.0, f32::NAN], &[1.0, 0.1]).is_err());
        assert!(check(&[0.0, 1e-6], &[0.0, 0.0]).is_err());
    }

    #[test]
    fn what_is_not_finite_must_be_the_same() {
        let (nan, infinite) = (f64::NAN, f64::INFINITY);
        assert_eq!(check(&[f32::NAN, f32::INFINITY], &[nan, infinite]), Ok(()));
        for (got, want) in
            [(1.0, nan), (f32::NAN, infinite), (f32::MAX, infinite), (f32::NEG_INFINITY, infinite)]
        {
            assert!(check(&[got, 0.5], &[want, 0.5]).is_err(), "{got} for {want}");
        }
        assert!(check(&[f32::INFINITY, 0.51], &[infinite, 0.5]).is_err());
    }
}
