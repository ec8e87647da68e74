// residual_mix: (x[n,d], x0[n,d], mix[2,d]) → mix[0]⊙x + mix[1]⊙x0. One invocation per element.

struct Params { base: u32, n: u32, d: u32 }  // n: elements

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, d]
@group(0) @binding(2) var<storage, read> x0: array<f32>;       // [n, d]
@group(0) @binding(3) var<storage, read> blend: array<f32>;    // [2, d]
@group(0) @binding(4) var<storage, read_write> m: array<f32>;  // [n, d]

@compute @workgroup_size(256)
fn residual_mix(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        let c = i % params.d;
        m[i] = blend[c] * x[i] + blend[params.d + c] * x0[i];
    }
}
