// Steps of newton_schulz around its products. normalize: (u[n], Σu²[]) → u/(√Σu² + 1e-7).
// combine: y ← y_factor·y + x_factor·x. One invocation per element.

struct Params { base: u32, n: u32, y_factor: f32, x_factor: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [n]
@group(0) @binding(3) var<storage, read> squares: array<f32>;  // []

@compute @workgroup_size(256)
fn normalize_all(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = x[i] / (sqrt(squares[0]) + 1e-7);
    }
}

@compute @workgroup_size(256)
fn combine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = params.y_factor * y[i] + params.x_factor * x[i];
    }
}
