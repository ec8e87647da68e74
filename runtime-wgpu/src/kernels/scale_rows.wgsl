// scale_rows: (w[r,c], s[r]) → s⊙w, one invocation per element.

struct Params { base: u32, n: u32, cols: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<f32>;        // [r, c]
@group(0) @binding(2) var<storage, read> s: array<f32>;        // [r]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [r, c]

@compute @workgroup_size(256)
fn scale_rows(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = s[i / params.cols] * w[i];
    }
}
