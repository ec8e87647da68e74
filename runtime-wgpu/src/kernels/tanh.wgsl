// Shared part: the hyperbolic tangent and its derivative to full relative precision at every argument. The built-in
// `tanh` may be formed as (eˣ-e⁻ˣ)/(eˣ+e⁻ˣ): no correct digit for small x, inf/inf for large.

// tanh x. Lambert's continued fraction to five terms where it is exact to f32; elsewhere by e^(-2|x|), which cannot overflow.
fn tanh_precise(x: f32) -> f32 {
    let square = x * x;
    if square < 0.49 {
        return x * ((945.0 + square * (105.0 + square)) / (945.0 + square * (420.0 + square * 15.0)));
    }
    let t = exp(-2.0 * abs(x));
    return sign(x) * ((1.0 - t) / (1.0 + t));
}

// 1 - tanh² x = 4t/(1+t)², t = e^(-2|x|): without the cancellation of the left side.
fn tanh_slope(x: f32) -> f32 {
    let t = exp(-2.0 * abs(x));
    let rest = 1.0 + t;
    return 4.0 * t / (rest * rest);
}
