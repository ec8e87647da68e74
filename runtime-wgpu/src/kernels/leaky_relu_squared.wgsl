// leaky_relu_squared: (z[n]) → (z if z ≥ 0 else slope·z)². One invocation per element.

struct Params { base: u32, n: u32, slope: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> z: array<f32>;        // [n]
@group(0) @binding(2) var<storage, read_write> h: array<f32>;  // [n]

@compute @workgroup_size(256)
fn leaky_relu_squared(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        let a = select(params.slope, 1.0, z[i] >= 0.0) * z[i];
        h[i] = a * a;
    }
}
