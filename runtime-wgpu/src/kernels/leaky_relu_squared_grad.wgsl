// leaky_relu_squared_grad: (z[n], dh[n]) → dz = 2z·dh for z ≥ 0, 2·slope²·z·dh below. One invocation per element.

struct Params { base: u32, n: u32, slope: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;         // [n]
@group(0) @binding(2) var<storage, read> dh: array<f32>;        // [n]
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;  // [n]

@compute @workgroup_size(256)
fn leaky_relu_squared_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        dz[i] = 2.0 * z[i] * dh[i] * select(params.slope * params.slope, 1.0, z[i] >= 0.0);
    }
}
