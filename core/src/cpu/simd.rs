//! Vector loops: plain Rust over slices, compiled for the best instruction set that the machine has.
//!
//! [`vector`] runs a closure inside a function compiled for that set; everything below is inlined into it. Sums keep
//! [`LANES`] partial sums joined as a tree, whatever the width of the registers, so that every machine adds in the
//! same order.

use pulp::Arch;

/// Partial sums of a reduction: two AVX-512 registers, which hides the latency of an addition.
pub(super) const LANES: usize = 32;

/// Runs `body` compiled for the widest vectors of this machine.
#[inline(always)]
pub(super) fn vector<R>(body: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(body)
}

/// Name of the instruction set that [`vector`] compiles for.
pub(super) fn instructions() -> &'static str {
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => "AVX-512",
        #[cfg(target_arch = "x86_64")]
        Arch::V3(_) => "AVX2 and FMA",
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(_) => "NEON",
        #[cfg(target_arch = "wasm32")]
        Arch::Simd128(_) => "SIMD128",
        _ => "none",
    }
}

/// `a·b + c`: fused where the instruction exists. On wasm32 it does not, and the library's fused form is slow.
#[inline(always)]
pub(super) fn madd(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "wasm32") { a * b + c } else { a.mul_add(b, c) }
}

/// Joins partial sums in pairs.
#[inline(always)]
pub(super) fn tree(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ a·b`.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for i in 0..LANES {
            lanes[i] = madd(a[i], b[i], lanes[i]);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = madd(*a, *b, *lane);
    }
    tree(lanes, |a, b| a + b)
}

/// Largest value; −∞ for none. NaNs are passed over.
#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for x in x {
        for i in 0..LANES {
            lanes[i] = larger(lanes[i], x[i]);
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, &x)| *lane = larger(*lane, x));
    tree(lanes, larger)
}

/// Overwrites every `x` with `f(x)` and returns the sum of the new values.
#[inline(always)]
pub(super) fn map_sum(x: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    if cfg!(target_arch = "wasm32") {
        // In two passes: sixteen narrow registers do not hold the partial sums beside what `f` needs.
        x.iter_mut().for_each(|x| *x = f(*x));
        return sum(x);
    }
    let (x, rest) = x.as_chunks_mut::<LANES>();
    let mut lanes = [0.0; LANES];
    for x in x {
        for i in 0..LANES {
            x[i] = f(x[i]);
            lanes[i] += x[i];
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *x = f(*x);
        *lane += *x;
    }
    tree(lanes, |a, b| a + b)
}

/// `Σ x`, in the order of [`map_sum`].
#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let (x, rest) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for x in x {
        for i in 0..LANES {
            lanes[i] += x[i];
        }
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, x)| *lane += x);
    tree(lanes, |a, b| a + b)
}

/// `y += factor·x`.
#[inline(always)]
pub(super) fn add_scaled(y: &mut [f32], factor: f32, x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = madd(factor, *x, *y));
}

/// Exponentials, by the numbers that they are made of.
#[derive(Clone, Copy)]
pub(super) struct Exp {
    /// Below this `e^x` is less than the smallest normal number, and given as 0.
    underflow: f32,
    log2_e: f32,
    /// 1.5·2²³: adding it rounds to an integer, which then stands in the low bits.
    rounding: f32,
    /// What makes those bits a biased exponent.
    bias: i32,
    /// -ln 2 in two parts: the first has 11 significant bits, so that its multiples by exponents are exact.
    ln2: [f32; 2],
    /// `(e^r - 1 - r)/r²` for `|r| ≤ ln2/2`, interpolated at Chebyshev nodes; `e^r` is then good to 1.1e-8.
    series: [f32; 5],
}

const ROUNDING: f32 = 12_582_912.0;
const EXP: Exp = Exp {
    underflow: -87.336_54,
    log2_e: std::f32::consts::LOG2_E,
    rounding: ROUNDING,
    bias: 127 - ROUNDING.to_bits() as i32,
    ln2: [-0.692_871_1, -2.760_868e-4],
    series: [0.5, 0.166_665_76, 0.041_666_552, 0.008_363_233, 0.001_392_625],
};

impl Exp {
    /// For a loop, made before it begins. On wasm32 its numbers are hidden from the compiler: of a constant an engine
    /// makes a vector every time around, with four instructions, and a variable it keeps.
    #[inline(always)]
    pub(super) fn for_loop() -> Self {
        if cfg!(target_arch = "wasm32") { std::hint::black_box(EXP) } else { EXP }
    }

    /// `(2^n, e^r - 1)` with `x = n·ln2 + r`, for `|x|` below 100.
    #[inline(always)]
    fn parts(&self, x: f32) -> (f32, f32) {
        let shifted = madd(x, self.log2_e, self.rounding);
        let n = shifted - self.rounding;
        let r = madd(n, self.ln2[1], madd(n, self.ln2[0], x));
        let [c0, c1, c2, c3, c4] = self.series;
        let series = madd(madd(madd(madd(c4, r, c3), r, c2), r, c1), r, c0);
        let exponent = (shifted.to_bits() as i32).wrapping_add(self.bias) as u32;
        (f32::from_bits(exponent << 23), madd(series * r, r, r))
    }

    /// `e^x` for `x ≤ 0`, the softmax's case, with a relative error below 2e-7; 0 below -87.3, NaN for NaN. (Up to 88
    /// it is as good, so a score that rounding put above its maximum does no harm.)
    #[inline(always)]
    pub(super) fn nonpositive(&self, x: f32) -> f32 {
        let inside = if x < self.underflow { self.underflow } else { x };
        let (scale, p) = self.parts(inside);
        let y = madd(p, scale, scale);
        if x < self.underflow { 0.0 } else { y }
    }

    /// `tanh x` with a relative error below 4e-7, as `t/(t+2)` for `t = e^{2|x|} - 1`, which does not cancel.
    #[inline(always)]
    pub(super) fn tanh(&self, x: f32) -> f32 {
        // tanh 10 rounds to 1.
        let twice = 2.0 * x.abs();
        let twice = if twice > 20.0 { 20.0 } else { twice };
        let (scale, p) = self.parts(twice);
        let t = madd(p, scale, scale - 1.0);
        (t / (t + 2.0)).copysign(x)
    }
}

/// [`Exp::tanh`].
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    EXP.tanh(x)
}

/// `1 - tanh² x` with a relative error below 1e-6, as `4(t+1)/(t+2)²` for the `t` of [`tanh`], which does not cancel.
#[inline(always)]
pub(super) fn tanh_slope(x: f32) -> f32 {
    // Beyond 40 it is less than the smallest normal number.
    let twice = 2.0 * x.abs();
    let twice = if twice > 80.0 { 80.0 } else { twice };
    let (scale, p) = EXP.parts(twice);
    let t = madd(p, scale, scale - 1.0);
    (4.0 / (t + 2.0)) * ((t + 1.0) / (t + 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points over `[low, high]` that do not fall on round numbers.
    fn points(low: f32, high: f32) -> impl Iterator<Item = f32> {
        (0..200_000).map(move |i| low + (high - low) * (i as f32 + 0.37) / 200_000.0)
    }

    fn worst(points: impl Iterator<Item = f32>, got: fn(f32) -> f32, want: fn(f64) -> f64) -> f64 {
        let error = |x: f32| (f64::from(got(x)) / want(f64::from(x)) - 1.0).abs();
        points.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn exp_is_within_its_stated_error() {
        assert!(worst(points(-1.0, 0.0), |x| EXP.nonpositive(x), f64::exp) < 2e-7);
        assert!(worst(points(-87.3, 0.0), |x| EXP.nonpositive(x), f64::exp) < 2e-7);
    }

    #[test]
    fn exp_keeps_the_ends_and_nan() {
        assert_eq!([0.0, -88.0, f32::NEG_INFINITY].map(|x| EXP.nonpositive(x)), [1.0, 0.0, 0.0]);
        assert!(EXP.nonpositive(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_its_stated_error() {
        assert!(worst(points(-12.0, 12.0), tanh, f64::tanh) < 4e-7);
        assert!(worst(points(1e-6, 1e-2), tanh, f64::tanh) < 4e-7);
        assert_eq!([tanh(0.0), tanh(1e30), tanh(f32::NEG_INFINITY)], [0.0, 1.0, -1.0]);
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn the_slope_of_tanh_is_within_its_stated_error() {
        assert!(worst(points(-40.0, 40.0), tanh_slope, |x| x.cosh().powi(-2)) < 1e-6);
        assert_eq!(tanh_slope(0.0), 1.0);
        assert!(tanh_slope(1e30) < 1e-33 && tanh_slope(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_take_every_element_at_any_length() {
        for n in [0, 1, 31, 32, 33, 100] {
            let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let squares = (0..n).map(|i| (i * i) as f32).sum::<f32>();
            assert_eq!(dot(&x, &x), squares);
            assert_eq!(max(&x), if n == 0 { f32::NEG_INFINITY } else { n as f32 - 1.0 });
            let mut doubled = x.clone();
            assert_eq!(map_sum(&mut doubled, |x| 2.0 * x), 2.0 * x.iter().sum::<f32>());
            assert!(doubled.iter().zip(&x).all(|(d, x)| *d == 2.0 * x));
        }
    }
}
