// residual_mix_norm: (x[n,d], x0[n,d], mix[2,d]) → (m[n,d], h[n,d]): m = mix[0]⊙x + mix[1]⊙x0, h = scale·m/√(mean m² + ε). One
// workgroup per row, strided over its channels; an invocation reads again only what it wrote. After reduce.wgsl.

struct Params { base: u32, d: u32, scale: f32 }

const EPSILON: f32 = 1.1920929e-7;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, d]
@group(0) @binding(2) var<storage, read> x0: array<f32>;       // [n, d]
@group(0) @binding(3) var<storage, read> blend: array<f32>;    // [2, d]
@group(0) @binding(4) var<storage, read_write> m: array<f32>;  // [n, d]
@group(0) @binding(5) var<storage, read_write> h: array<f32>;  // [n, d]

@compute @workgroup_size(64)
fn residual_mix_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * params.d;
    var sum = 0.0;
    for (var c = lane; c < params.d; c += LANES) {
        let mixed = blend[c] * x[row + c] + blend[params.d + c] * x0[row + c];
        m[row + c] = mixed;
        sum += mixed * mixed;
    }
    let factor = params.scale * inverseSqrt(group_sum(sum, lane) / f32(params.d) + EPSILON);
    for (var c = lane; c < params.d; c += LANES) {
        h[row + c] = m[row + c] * factor;
    }
}
