// embed of a packed table: (ids i32[n], table q4..q8[v,d]) → q·scale of the rows ids[n,d]. One invocation per element;
// 32 neighbours read at most 8 words, from the cache.
// After packed.wgsl.

struct Params {
    base: u32,
    n: u32,      // elements of the result
    d: u32,
    rows: u32,   // v
    width: u32,  // words of a packed row
    bits: u32,   // of an integer
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<u32>;      // [n]
@group(0) @binding(2) var<storage, read> packed: array<u32>;   // [v, width], then two fp16 scales a word
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [n, d]

@compute @workgroup_size(256)
fn embed_packed(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = packed_weight(ids[i / params.d], i % params.d, params.rows, params.bits, params.width);
    }
}
