// Shared part: the hash of a token and its predecessors, (m₀·x ∘ m₁·p₁ ∘ m₂·p₂) mod modulus, ∘ = xor or +. Products are
// exact modulo 2⁶⁴, as pairs (low, high) of words. After wide.wgsl.

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

// Bucket of token `x` that `before` predecessors of its window come before; p1 and p2 are read where they exist.
fn bucket_of(before: u32, x: u32, p1: u32, p2: u32) -> u32 {
    if before < params.back && params.adds == 0u {
        return params.modulus;
    }
    var hash = product(params.low0, params.high0, x);
    if before >= 1u {
        hash = join(hash, product(params.low1, params.high1, p1));
    }
    if params.back == 2u && before >= 2u {
        hash = join(hash, product(params.low2, params.high2, p2));
    }
    return remainder(hash);
}
