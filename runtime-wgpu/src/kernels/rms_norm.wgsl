// rms_norm: (x[n,d]) → scale·x/√(mean x² + ε). One workgroup per row, strided over its channels.
// After reduce.wgsl.

struct Params { base: u32, d: u32, scale: f32 }

const EPSILON: f32 = 1.1920929e-7;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, d]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [n, d]

@compute @workgroup_size(64)
fn rms_norm(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * params.d;
    var sum = 0.0;
    for (var c = lane; c < params.d; c += LANES) {
        sum += x[row + c] * x[row + c];
    }
    let factor = params.scale * inverseSqrt(group_sum(sum, lane) / f32(params.d) + EPSILON);
    for (var c = lane; c < params.d; c += LANES) {
        y[row + c] = x[row + c] * factor;
    }
}
