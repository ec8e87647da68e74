// hash_bucket: (tokens i32[n]) → buckets i32[n], in windows of seq tokens. One invocation per token. After hash.wgsl.

@group(0) @binding(1) var<storage, read> tokens: array<u32>;         // [n]
@group(0) @binding(2) var<storage, read_write> buckets: array<u32>;  // [n]

@compute @workgroup_size(256)
fn hash_bucket(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        // Indices before the first token are not of its window; any token may stand for them.
        buckets[i] = bucket_of(i % params.seq, tokens[i], tokens[max(i, 1u) - 1u], tokens[max(i, 2u) - 2u]);
    }
}
