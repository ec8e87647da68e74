// Tensor cores: products of 16 × 16 by 16 × 8 of bf16, added up in f32, by one warp.

#pragma once

#include "shared/vector.cuh"

// Two floats rounded to nearest bf16, `low` in the low half.
__device__ inline u32 bf16_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// c += a·b. With g = lane / 4 and t = lane % 4, words of `a` hold columns 2t, 2t+1 (then +8) of rows g and g+8, in the order
// (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8); words of `b` rows 2t, 2t+1 (then +8) of column g; `c` columns 2t, 2t+1 of
// row g, then of row g+8. Call with all lanes.
__device__ inline void multiply_add_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
