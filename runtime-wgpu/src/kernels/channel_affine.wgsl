// channel_affine: (x[n,d], scale[d], bias[d]) → scale⊙x + bias. One invocation per element.

struct Params { base: u32, n: u32, d: u32 }  // n: elements

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, d]
@group(0) @binding(2) var<storage, read> scale: array<f32>;    // [d]
@group(0) @binding(3) var<storage, read> bias: array<f32>;     // [d]
@group(0) @binding(4) var<storage, read_write> y: array<f32>;  // [n, d]

@compute @workgroup_size(256)
fn channel_affine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        let c = i % params.d;
        y[i] = scale[c] * x[i] + bias[c];
    }
}
