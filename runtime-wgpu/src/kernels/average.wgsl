// average: (mean in place, x, keep[]): mean ← keep·mean + (1-keep)·x. One invocation per element.

struct Params { base: u32, n: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> mean: array<f32>;  // [n]
@group(0) @binding(2) var<storage, read> x: array<f32>;           // [n]
@group(0) @binding(3) var<storage, read> keep: array<f32>;        // []

@compute @workgroup_size(256)
fn average(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        mean[i] = keep[0] * mean[i] + (1.0 - keep[0]) * x[i];
    }
}
