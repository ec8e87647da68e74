// embed of a packed table: (ids i32[n], table q4..q8[v,d]) → q·scale of the rows ids[n,d]. One invocation per element;
// 32 neighbours read at most 8 words, from the cache.

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
@group(0) @binding(2) var<storage, read> table: array<u32>;    // [v, width], then two fp16 scales a word
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [n, d]

// The finite fp16 number with these bits. Not `unpack2x16float`: an optional capability to naga, and free to flush
// subnormal numbers to zero.
fn half_float(bits: u32) -> f32 {
    let exponent = (bits >> 10u) & 0x1fu;
    let mantissa = bits & 0x3ffu;
    let normal = bitcast<f32>(((exponent + 112u) << 23u) | (mantissa << 13u));
    let magnitude = select(normal, f32(mantissa) * 0x1p-24, exponent == 0u);
    return select(magnitude, -magnitude, (bits & 0x8000u) != 0u);
}

// Entry (row, column) of the table. An integer is stored with an offset of half its range and may straddle two words.
fn dequantized(row: u32, column: u32) -> f32 {
    let bit = column * params.bits;
    let word = row * params.width + bit / 32u;
    let shift = bit % 32u;
    var symbol = table[word] >> shift;
    if shift + params.bits > 32u {
        symbol |= table[word + 1u] << (32u - shift);
    }
    let integer = i32(symbol & ((1u << params.bits) - 1u)) - i32(1u << (params.bits - 1u));
    let pair = table[params.rows * params.width + row / 2u];
    return f32(integer) * half_float((pair >> (16u * (row % 2u))) & 0xffffu);
}

@compute @workgroup_size(256)
fn embed_packed(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = dequantized(ids[i / params.d], i % params.d);
    }
}
