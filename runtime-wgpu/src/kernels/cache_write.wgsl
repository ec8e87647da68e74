// cache_write: (cache[w,d], x[n,d], position i32[1]) → cache with rows position .. position + n replaced by x, in place.
// One invocation per element of x.

struct Params { base: u32, n: u32, d: u32 }  // n: elements of x

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;            // [n, d]
@group(0) @binding(2) var<storage, read> position: array<u32>;     // [1]
@group(0) @binding(3) var<storage, read_write> cache: array<f32>;  // [w, d]

@compute @workgroup_size(256)
fn cache_write(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        cache[position[0] * params.d + i] = x[i];
    }
}
