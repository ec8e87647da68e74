// First of two stages of the gradients that sum over the rows of matrices [n, d]: a block sums over a strip, its warps'
// sums are added in order, and the result goes to partials[chunk, SUMS, d], which column_sums.cu adds up.
//
// `Op` is the op's own part: SUMS (1 or 2 sums per column); `channels<WHOLE>(c)`, what it loads once for the columns
// c .. c + 8; and `add_terms<WHOLE>(sums, row, at, end, channels)`, which writes the elementwise results of the entries
// at .. at + 8 and adds their terms to the sums.

#pragma once

#include "shared/strips.cuh"

struct Sums {
    Eight first, second;
};

// What the warps of a block have summed; in shared memory.
template <class Op> struct OfWarps {
    float v[Op::SUMS][STRIP_WARPS][STRIP_COLUMNS];
};

template <bool WHOLE, class Op> __device__ inline Sums sums_of_warp(const Op& op, const Strip& strip) {
    Sums sums = {};
    if (strip.column >= strip.d) return sums;
    const auto own = op.template channels<WHOLE>(strip.column);
    strip.each_row([&](u32 row, u32 at, u32 end) { op.template add_terms<WHOLE>(sums, row, at, end, own); });
    return sums;
}

template <class Op>
__device__ inline void column_sums(const Op& op, OfWarps<Op>& of_warps, float* partials, u32 n, u32 d) {
    const Strip strip = own_strip(n, d);
    const Sums sums = d % 8 == 0 ? sums_of_warp<true>(op, strip) : sums_of_warp<false>(op, strip);
    const u32 warp = threadIdx.x / 32;
    const u32 in_strip = threadIdx.x % 32 * 8;
    store_eight_at(&of_warps.v[0][warp][in_strip], sums.first);
    if constexpr (Op::SUMS == 2) store_eight_at(&of_warps.v[1][warp][in_strip], sums.second);
    __syncthreads();
    const u32 c = strip.column - in_strip + threadIdx.x;
    if (c >= d) return;
#pragma unroll
    for (u32 i = 0; i < Op::SUMS; i++) {
        float sum = 0.0f;
#pragma unroll
        for (u32 k = 0; k < STRIP_WARPS; k++) sum += of_warps.v[i][k][threadIdx.x];
        partials[(strip.chunk * Op::SUMS + i) * d + c] = sum;
    }
}
