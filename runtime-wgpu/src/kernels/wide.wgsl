// Shared part: products of words as 64-bit integers, which WGSL lacks: pairs (low word, high word).

// a·b, by 16-bit halves.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    // Neither sum overflows: (2¹⁶-1)² + 2¹⁶-1 < 2³².
    let first = a1 * b0 + ((a0 * b0) >> 16u);
    let second = a0 * b1 + (first & 0xffffu);
    return vec2<u32>(a * b, a1 * b1 + (first >> 16u) + (second >> 16u));
}
