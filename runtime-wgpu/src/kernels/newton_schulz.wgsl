// Steps of newton_schulz around its products. normalize: (Σu²[], u[n]) → u/(√Σu² + 1e-7) in place.
// combine: y ← y_factor·y + x_factor·x. One invocation per element.

struct Params { base: u32, n: u32, y_factor: f32, x_factor: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n], or [] of normalize
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [n]

@compute @workgroup_size(256)
fn normalize_all(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = y[i] / (sqrt(x[0]) + 1e-7);
    }
}

@compute @workgroup_size(256)
fn combine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = params.y_factor * y[i] + params.x_factor * x[i];
    }
}
