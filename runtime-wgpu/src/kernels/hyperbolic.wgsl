// Shared part: tanh by odd series near zero and by the exponential elsewhere: built-in versions may overflow for large
// arguments and lose small ones.

fn tanh_safe(x: f32) -> f32 {
    let magnitude = abs(x);
    if magnitude < 0.25 {
        let s = x * x;
        // Coefficients of the Taylor series; the next term is below 2⁻²⁵ of the result.
        let tail = -17.0 / 315.0 + s * (62.0 / 2835.0 + s * (-1382.0 / 155925.0 + s * (21844.0 / 6081075.0)));
        return x * (1.0 + s * (-1.0 / 3.0 + s * (2.0 / 15.0 + s * tail)));
    }
    let decay = exp(-2.0 * magnitude);
    return sign(x) * (1.0 - decay) / (1.0 + decay);
}
