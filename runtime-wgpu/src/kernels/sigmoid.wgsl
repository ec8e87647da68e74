// Shared part: the logistic function, safe and to full relative precision at every argument.

// (σ(x), 1-σ(x)) by e^(-|x|), which cannot overflow; neither is formed by a subtraction.
fn sigmoid(x: f32) -> vec2<f32> {
    let t = exp(-abs(x));
    let large = 1.0 / (1.0 + t);
    let small = t * large;
    return select(vec2<f32>(small, large), vec2<f32>(large, small), x >= 0.0);
}
