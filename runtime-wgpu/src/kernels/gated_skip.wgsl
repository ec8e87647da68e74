// gated_skip: (x[n,d], s[n,d], weight[d], gate[d]) → γ⊙x + (1-γ)⊙weight⊙s, γ = sigmoid(gate). One invocation per
// element. After sigmoid.wgsl.

struct Params { base: u32, n: u32, d: u32 }  // n: elements

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, d]
@group(0) @binding(2) var<storage, read> s: array<f32>;        // [n, d]
@group(0) @binding(3) var<storage, read> weight: array<f32>;   // [d]
@group(0) @binding(4) var<storage, read> gate: array<f32>;     // [d]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;  // [n, d]

@compute @workgroup_size(256)
fn gated_skip(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        let c = i % params.d;
        let gamma = sigmoid(gate[c]);
        y[i] = gamma.x * x[i] + gamma.y * weight[c] * s[i];
    }
}
