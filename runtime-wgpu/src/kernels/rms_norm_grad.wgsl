// rms_norm_grad: (x[n,d], dy[n,d]) → dx[n,d] = scale·r·(dy - x·r²·mean(x·dy)), r = 1/√(mean x² + ε), or added to dx where
// `accumulate` is set. One workgroup per row, strided over its channels. After reduce.wgsl.

struct Params { base: u32, d: u32, scale: f32, accumulate: u32 }

const EPSILON: f32 = 1.1920929e-7;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [n, d]
@group(0) @binding(2) var<storage, read> dy: array<f32>;        // [n, d]
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;  // [n, d]

@compute @workgroup_size(64)
fn rms_norm_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * params.d;
    var square = 0.0;
    var product = 0.0;
    for (var c = lane; c < params.d; c += LANES) {
        square += x[row + c] * x[row + c];
        product += x[row + c] * dy[row + c];
    }
    let r = inverseSqrt(group_sum(square, lane) / f32(params.d) + EPSILON);
    let inner = r * r * (group_sum(product, lane) / f32(params.d));
    for (var c = lane; c < params.d; c += LANES) {
        let before = select(0.0, dx[row + c], params.accumulate != 0u);
        dx[row + c] = before + params.scale * r * (dy[row + c] - x[row + c] * inner);
    }
}
