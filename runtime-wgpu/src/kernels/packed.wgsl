// Shared part: one weight of a packed matrix `packed`: rows of `row_words` words, then one fp16 scale a row, two to a
// word. Integer q of column j is stored as q + 2^(bits-1) in bits j·bits .. (j+1)·bits of its row and may straddle words.

// A finite fp16 in the low half of `bits`. By hand, because the built-in is an optional capability of some validators.
fn half(bits: u32) -> f32 {
    let magnitude = bits & 0x7fffu;
    let normal = bitcast<f32>((magnitude << 13u) + (112u << 23u));
    let value = select(f32(magnitude) * 0x1p-24, normal, magnitude >= 0x400u);
    return select(value, -value, (bits & 0x8000u) != 0u);
}

fn packed_weight(row: u32, col: u32, rows: u32, bits: u32, row_words: u32) -> f32 {
    let bit = col * bits;
    let word = row * row_words + bit / 32u;
    let shift = bit % 32u;
    var symbol = packed[word] >> shift;
    if shift + bits > 32u {
        symbol |= packed[word + 1u] << (32u - shift);
    }
    let q = i32(symbol & ((1u << bits) - 1u)) - i32(1u << (bits - 1u));
    return f32(q) * half(packed[rows * row_words + row / 2u] >> (16u * (row % 2u)));
}
