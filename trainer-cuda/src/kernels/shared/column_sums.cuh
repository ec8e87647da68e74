// First of two stages of the gradients that sum over the rows of matrices [n, d].
//
// A block takes 64 columns, one per thread, hence coalesced, over a chunk of 32 rows in order; its sums go to
// partials[chunk, SUMS, d], which column_sums.cu adds up. Chunks are short so that small batches fill a GPU too.
//
// `Op` is the op's own part: SUMS (1 or 2 sums per column); `Channel channel(c)`, what it loads once per column; and
// `float2 terms(row, i, channel)`, which writes the elementwise results of one entry and returns its terms of the sums.

#pragma once

#include "shared/vector.cuh"

const u32 SUM_COLUMNS = 64;
const u32 SUM_ROWS = 32;

template <class Op> __device__ inline void column_sums(const Op& op, float* partials, u32 n, u32 d) {
    const u32 tiles = (d + SUM_COLUMNS - 1) / SUM_COLUMNS;
    const u32 chunk = blockIdx.x / tiles;
    const u32 c = blockIdx.x % tiles * SUM_COLUMNS + threadIdx.x;
    if (c >= d) return;
    const auto of_column = op.channel(c);
    const u32 end = min((chunk + 1) * SUM_ROWS, n);
    float first = 0.0f;
    float second = 0.0f;
    for (u32 row = chunk * SUM_ROWS; row < end; row++) {
        const float2 terms = op.terms(row, row * d + c, of_column);
        first += terms.x;
        second += terms.y;
    }
    const u32 at = chunk * Op::SUMS * d + c;
    partials[at] = first;
    if (Op::SUMS == 2) partials[at + d] = second;
}
