// clip_coefficient: (sums[count]) → (norm[], coefficient[]), norm = √Σ sums, added in order, coefficient =
// min(1, limit/(norm + 1e-6)), or 1 for limit 0; NaN for a norm that is not finite.
// One invocation.

struct Params { base: u32, limit: f32, count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>;            // [count]
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;         // []
@group(0) @binding(3) var<storage, read_write> coefficient: array<f32>;  // []

@compute @workgroup_size(1)
fn clip_coefficient() {
    var sum = squares[0];
    for (var i = 1u; i < params.count; i++) {
        sum += squares[i];
    }
    let root = sqrt(sum);
    norm[0] = root;
    let factor = params.limit / (root + 1e-6);
    if !finite(sum) {
        // NaN, which a shader may not write as a constant.
        coefficient[0] = bitcast<f32>(bitcast<u32>(sum) | 0x7fc00000u);
    } else if params.limit > 0.0 && factor < 1.0 {
        coefficient[0] = factor;
    } else {
        coefficient[0] = 1.0;
    }
}
