// One weight of a packed matrix: rows of `row_words` words, then one fp16 scale a row, two to a word. Integer q of column j
// is stored as q + 2^(bits-1) in bits j·bits .. (j+1)·bits of its row and may straddle words.

#pragma once

#include "shared/vector.cuh"

// A finite fp16 in the low half of `bits`.
__device__ inline float half_to_float(u32 bits) {
    const u32 magnitude = bits & 0x7fffu;
    const float normal = __uint_as_float((magnitude << 13) + (112u << 23));
    const float value = magnitude >= 0x400u ? normal : (float)magnitude * 5.9604645e-8f;  // 2⁻²⁴
    return (bits & 0x8000u) != 0 ? -value : value;
}

__device__ inline float packed_weight(const u32* packed, u32 row, u32 col, u32 rows, u32 bits, u32 row_words) {
    const u32 bit = col * bits;
    const u32 word = row * row_words + bit / 32;
    const u32 shift = bit % 32;
    u32 symbol = packed[word] >> shift;
    if (shift + bits > 32) symbol |= packed[word + 1] << (32 - shift);
    const int q = (int)(symbol & ((1u << bits) - 1)) - (1 << (bits - 1));
    return (float)q * half_to_float(packed[rows * row_words + row / 2] >> (16 * (row % 2)));
}
