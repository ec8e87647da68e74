// Strips of matrices [n, d]: a block takes 256 columns of 64 rows, a thread eight columns, so that what belongs to a column
// is loaded once. Warps take rows in turn.

#pragma once

#include "shared/eights.cuh"

const u32 STRIP_COLUMNS = 256;
const u32 STRIP_ROWS = 64;
const u32 STRIP_WARPS = 8;

// This block's strip of the matrix, and this thread's first column.
struct Strip {
    u32 n, d, chunk, column;

    // Calls use(row, at, end) for this warp's rows of the strip: a thread's columns are at .. at + 8 of the matrix, those of
    // the row end at `end`.
    template <class Use> __device__ void each_row(Use use) const {
        const u32 last = min((chunk + 1) * STRIP_ROWS, n);
        for (u32 row = chunk * STRIP_ROWS + threadIdx.x / 32; row < last; row += STRIP_WARPS) {
            use(row, row * d + column, (row + 1) * d);
        }
    }
};

__device__ inline Strip own_strip(u32 n, u32 d) {
    const u32 tiles = (d + STRIP_COLUMNS - 1) / STRIP_COLUMNS;
    return {n, d, blockIdx.x / tiles, blockIdx.x % tiles * STRIP_COLUMNS + threadIdx.x % 32 * 8};
}

// Runs `op` over the strip: `op.channels<WHOLE>(c)` is what it loads once for the columns c .. c + 8, and
// `op.write<WHOLE>(row, at, end, channels)` writes its results of the entries at .. at + 8.
template <bool WHOLE, class Op> __device__ inline void write_strip(const Op& op, const Strip& strip) {
    const auto own = op.template channels<WHOLE>(strip.column);
    strip.each_row([&](u32 row, u32 at, u32 end) { op.template write<WHOLE>(row, at, end, own); });
}

template <class Op> __device__ inline void write_strips(const Op& op, u32 n, u32 d) {
    const Strip strip = own_strip(n, d);
    if (strip.column >= d) return;
    d % 8 == 0 ? write_strip<true>(op, strip) : write_strip<false>(op, strip);
}
