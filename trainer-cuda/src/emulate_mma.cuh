// What stands in for shared/mma.cuh on the host: the same two functions, by definition. A tensor core may add the products
// of a step in another order.

#pragma once

#include "shared/vector.cuh"

static inline u32 bf16_of(float x) {
    const u32 bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline u32 bf16_pair(float low, float high) { return bf16_of(high) << 16 | bf16_of(low); }

// The bf16 of column or row `k` of what the lanes show: word 0 or 1 by the half of k, lane t, half of a word.
static inline float bf16_at(const u32 (&words)[2][32], u32 line, u32 k) {
    const u32 word = words[k / 8][4 * line + k % 8 / 2];
    return __uint_as_float(k % 2 == 0 ? word << 16 : word & 0xffff0000u);
}

static inline void show(u32 (&words)[32], u32 word) { std::memcpy(words, golf::exchange(word), sizeof words); }

static inline void multiply_add_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    u32 upper[2][32], lower[2][32], right[2][32];
    for (u32 half = 0; half < 2; half++) {
        show(upper[half], a[2 * half]);
        show(lower[half], a[2 * half + 1]);
        show(right[half], b[half]);
    }
    const u32 lane = threadIdx.x % golf::WARP;
    for (u32 i = 0; i < 4; i++) {
        const u32 row = lane / 4;
        const u32 column = 2 * (lane % 4) + i % 2;
        for (u32 k = 0; k < 16; k++) c[i] += bf16_at(i < 2 ? upper : lower, row, k) * bf16_at(right, column, k);
    }
}
