// hash_bucket_at: (tokens i32[n], before i32[2], position i32[1]) → buckets i32[n] of tokens that stand at `position` of
// their window, behind the two tokens `before`. One invocation per token. After hash.wgsl.

@group(0) @binding(1) var<storage, read> tokens: array<u32>;         // [n]
@group(0) @binding(2) var<storage, read> before: array<u32>;         // [2], oldest first
@group(0) @binding(3) var<storage, read> position: array<u32>;       // [1]
@group(0) @binding(4) var<storage, read_write> buckets: array<u32>;  // [n]

// Token `i` counted from two before the first new one.
fn token_at(i: u32) -> u32 {
    if i < 2u {
        return before[i];
    }
    return tokens[i - 2u];
}

@compute @workgroup_size(256)
fn hash_bucket_at(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        buckets[i] = bucket_of(position[0] + i, token_at(i + 2u), token_at(i + 1u), token_at(i));
    }
}
