// scale_by: (x[n], s[]) → s·x. One invocation per element.

struct Params { base: u32, n: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n]
@group(0) @binding(2) var<storage, read> s: array<f32>;        // []
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [n]

@compute @workgroup_size(256)
fn scale_by(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = s[0] * x[i];
    }
}
