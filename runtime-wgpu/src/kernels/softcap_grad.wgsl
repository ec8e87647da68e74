// softcap_grad: (z[n], dy[n]) → dy·(1 - tanh²(z/cap)). One invocation per element. After tanh.wgsl.

struct Params { base: u32, n: u32, cap: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;         // [n]
@group(0) @binding(2) var<storage, read> dy: array<f32>;        // [n]
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;  // [n]

@compute @workgroup_size(256)
fn softcap_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        dz[i] = dy[i] * tanh_slope(z[i] / params.cap);
    }
}
