// First part of residual_mix_norm_grad: (x[n,d], x0[n,d], mix[2,d], dh[n,d]) → rows[n,2], what the norm's gradient has of dh and of
// m = mix[0]⊙x + mix[1]⊙x0 in every row: scale·r and scale·r³·mean(m⊙dh), r = 1/√(mean m² + ε). One workgroup per row, strided
// over its channels. After reduce.wgsl.

struct Params { base: u32, d: u32, scale: f32 }

const EPSILON: f32 = 1.1920929e-7;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;                 // [n, d]
@group(0) @binding(2) var<storage, read> x0: array<f32>;                // [n, d]
@group(0) @binding(3) var<storage, read> blend: array<f32>;             // [2, d]
@group(0) @binding(4) var<storage, read> dh: array<f32>;                // [n, d]
@group(0) @binding(5) var<storage, read_write> rows: array<vec2<f32>>;  // [n]

@compute @workgroup_size(64)
fn residual_mix_norm_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = params.base + group.x;
    let first = row * params.d;
    var square = 0.0;
    var product = 0.0;
    for (var c = lane; c < params.d; c += LANES) {
        let m = blend[c] * x[first + c] + blend[params.d + c] * x0[first + c];
        square += m * m;
        product += m * dh[first + c];
    }
    let r = inverseSqrt(group_sum(square, lane) / f32(params.d) + EPSILON);
    let inner = r * r * (group_sum(product, lane) / f32(params.d));
    if lane == 0u {
        rows[row] = params.scale * r * vec2<f32>(1.0, inner);
    }
}
