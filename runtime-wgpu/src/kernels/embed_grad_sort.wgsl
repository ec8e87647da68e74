// First stage of embed_grad: (ids i32[n]) → (order[n], sorted[n]): positions by id and, of one id, by occurrence, and
// the ids in that order. Every invocation counts for its token how many come before it, over chunks of ids that a
// workgroup of 64 shares: n² comparisons whatever the vocabulary, one launch, and no atomics.

struct Params { base: u32, n: u32 }

const CHUNK: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<i32>;           // [n]
@group(0) @binding(2) var<storage, read_write> order: array<u32>;   // [n]
@group(0) @binding(3) var<storage, read_write> sorted: array<i32>;  // [n]

var<workgroup> chunk: array<vec4<i32>, 64>;  // CHUNK ids

// Id of position i; past the end one that comes before no other.
fn id_at(i: u32) -> i32 {
    if i < params.n {
        return ids[i];
    }
    return 0x7fffffff;
}

@compute @workgroup_size(64)
fn embed_grad_sort(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 64u + lane;
    let id = id_at(i);
    var rank = vec4<u32>();
    for (var start = 0u; start < params.n; start += CHUNK) {
        let at = start + 4u * lane;
        chunk[lane] = vec4<i32>(id_at(at), id_at(at + 1u), id_at(at + 2u), id_at(at + 3u));
        workgroupBarrier();
        for (var k = 0u; k < CHUNK / 4u; k += 1u) {
            // An equal id comes before only from an earlier position.
            let j = vec4<u32>(start + 4u * k) + vec4<u32>(0u, 1u, 2u, 3u);
            let limit = vec4<i32>(id) + vec4<i32>(j < vec4<u32>(i));
            rank += vec4<u32>(chunk[k] < limit);
        }
        workgroupBarrier();
    }
    if i < params.n {
        let place = rank.x + rank.y + rank.z + rank.w;
        order[place] = i;
        sorted[place] = id;
    }
}
