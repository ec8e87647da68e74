// embed: (ids i32[n], table[v,d]) → table[ids][n,d]. One invocation per element: neighbours read neighbours.

struct Params { base: u32, n: u32, d: u32 }  // n: elements

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;      // [n]
@group(0) @binding(2) var<storage, read> table: array<f32>;    // [v, d]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [n, d]

@compute @workgroup_size(256)
fn embed(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = table[ids[i / params.d] * params.d + i % params.d];
    }
}
