// hash_bucket: (tokens i32[n]) → buckets i32[n]: (m₀·x ∘ m₁·p₁ ∘ m₂·p₂) mod modulus for the token x and its
// predecessors in a window of seq tokens, ∘ = xor or +. One invocation per token. Products are exact modulo 2⁶⁴, as pairs
// (low, high) of words. After wide.wgsl.

struct Params {
    base: u32,
    n: u32,
    seq: u32,
    back: u32,     // predecessors that the hash looks at
    adds: u32,     // 1: ∘ is +, and a missing predecessor is token 0; 0: ∘ is xor, and it gives the bucket `modulus`
    modulus: u32,  // below 2³¹
    low0: u32, high0: u32, low1: u32, high1: u32, low2: u32, high2: u32,  // multipliers
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> tokens: array<u32>;         // [n]
@group(0) @binding(2) var<storage, read_write> buckets: array<u32>;  // [n]

// (low, high)·b modulo 2⁶⁴.
fn product(low: u32, high: u32, b: u32) -> vec2<u32> {
    return wide_product(low, b) + vec2<u32>(0u, high * b);
}

fn join(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    if params.adds == 0u {
        return a ^ b;
    }
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + u32(low < a.x));
}

// a mod modulus, by long division of the low word; a remainder twice as large still fits a word.
fn remainder(a: vec2<u32>) -> u32 {
    var rest = a.y % params.modulus;
    for (var bit = 32u; bit > 0u; bit -= 1u) {
        rest = 2u * rest + ((a.x >> (bit - 1u)) & 1u);
        if rest >= params.modulus {
            rest -= params.modulus;
        }
    }
    return rest;
}

@compute @workgroup_size(256)
fn hash_bucket(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    let t = i % params.seq;
    if t < params.back && params.adds == 0u {
        buckets[i] = params.modulus;
        return;
    }
    var hash = product(params.low0, params.high0, tokens[i]);
    if t >= 1u {
        hash = join(hash, product(params.low1, params.high1, tokens[i - 1u]));
    }
    if params.back == 2u && t >= 2u {
        hash = join(hash, product(params.low2, params.high2, tokens[i - 2u]));
    }
    buckets[i] = remainder(hash);
}
