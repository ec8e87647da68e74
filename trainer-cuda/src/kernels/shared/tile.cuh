// A tile of a matrix product, Σ_l a(i,l)·b(l,j), of 64·SPAN rows and columns by 256 threads as 16 × 16.
//
// Both operands pass through shared memory in slices of DEPTH, as vectors along the result. Thread (ty, tx) owns rows
// 4·(16r + ty) + 0..4 and columns 4·(16c + tx) + 0..4 for r, c < SPAN. SPAN 2 does twice the arithmetic for every word
// read from shared memory; SPAN 1 is for short or narrow products.

#pragma once

#include "shared/vector.cuh"

const u32 DEPTH = 16;

// [DEPTH][16·SPAN] of each operand.
template <u32 SPAN> struct Slices {
    float4 a[256 * SPAN];
    float4 b[256 * SPAN];
};

// Entry (4r + i)·SPAN + c holds row 4·(16r + ty) + i, columns 4·(16c + tx) + 0..4.
template <u32 SPAN> struct Accumulators {
    float4 v[4 * SPAN * SPAN];
};

// One operand's next slice: `load(i, l)` along the result from `first`, and along the depth from `start`.
template <u32 SPAN, class Load>
__device__ inline void fill_slice(float4* slice, u32 first, u32 start, bool by_depth, Load load) {
    for (u32 span = 0; span < SPAN; span++) {
        const u32 at = by_depth ? threadIdx.x % DEPTH : threadIdx.x / 16;
        const u32 four = (by_depth ? threadIdx.x / DEPTH : threadIdx.x % 16) + 16 * span;
        const u32 i = first + 4 * four;
        const u32 l = start + at;
        slice[at * 16 * SPAN + four] = make_float4(load(i, l), load(i + 1, l), load(i + 2, l), load(i + 3, l));
    }
}

// The tile whose first row and column are `row` and `col`. Call with all threads; shared memory is free afterwards.
template <u32 SPAN, class A, class B>
__device__ inline Accumulators<SPAN> multiply(Slices<SPAN>& slices, const A& a, const B& b, u32 row, u32 col, u32 depth) {
    Accumulators<SPAN> sums = {};
    const u32 ty = threadIdx.x / 16;
    const u32 tx = threadIdx.x % 16;
    for (u32 start = 0; start < depth; start += DEPTH) {
        fill_slice<SPAN>(slices.a, row, start, a.by_depth(), [&](u32 i, u32 l) { return a.load(i, l); });
        fill_slice<SPAN>(slices.b, col, start, b.by_depth(), [&](u32 j, u32 l) { return b.load(l, j); });
        __syncthreads();
#pragma unroll
        for (u32 l = 0; l < DEPTH; l++) {
#pragma unroll
            for (u32 r = 0; r < SPAN; r++) {
                const float4 x = slices.a[(l * SPAN + r) * 16 + ty];
#pragma unroll
                for (u32 c = 0; c < SPAN; c++) {
                    const float4 y = slices.b[(l * SPAN + c) * 16 + tx];
                    float4* sum = &sums.v[4 * r * SPAN + c];
                    sum[0] = add_scaled_vector(sum[0], x.x, y);
                    sum[SPAN] = add_scaled_vector(sum[SPAN], x.y, y);
                    sum[2 * SPAN] = add_scaled_vector(sum[2 * SPAN], x.z, y);
                    sum[3 * SPAN] = add_scaled_vector(sum[3 * SPAN], x.w, y);
                }
            }
        }
        __syncthreads();
    }
    return sums;
}
