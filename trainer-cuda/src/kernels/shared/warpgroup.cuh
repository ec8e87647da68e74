// Tiles of shared memory as right operands of a warpgroup's products. A tile is rows of 64 bf16, 128 bytes each, aligned to
// 1024; vector c of 8 entries of row r lies at c ^ r % 8.

#pragma once

#include "shared/wgmma.cuh"

// What the instruction is told of a tile: where it begins, how far groups of 8 rows lie apart, and how vectors lie. In units
// of 16 bytes; the one distance that this layout does not have is 1.
__device__ inline u64 tile_descriptor(const void* tile) {
    const u64 groups_apart = 1024 / 16;
    const u64 vectors_by_xor = 1;
    return shared_address(tile) / 16 | (u64)1 << 16 | groups_apart << 32 | vectors_by_xor << 62;
}

// Of 16 of a tile's channels, the `step`th, of all its rows.
__device__ inline u64 channels_of(u64 tile, u32 step) { return tile + 2 * step; }

// Of 16 of a tile's rows, the `step`th, with all their channels.
__device__ inline u64 rows_of(u64 tile, u32 step) { return tile + 128 * step; }

// Zeros, and where they are for good: a compiler that sets them later, between products, makes these wait for each other.
__device__ inline void clear(WarpgroupSums& sums) {
#pragma unroll
    for (u32 i = 0; i < 32; i++) sums[i / 4][i % 4] = 0.0f;
    hold(sums);
}

// Begins sums = left · tileᵀ, over the 64 channels of both.
__device__ inline void multiply_channels(WarpgroupSums& sums, const u32 (&left)[4][4], u64 tile) {
#pragma unroll
    for (u32 step = 0; step < 4; step++) multiply_tile<false>(sums, left[step], channels_of(tile, step), step > 0);
}

// Begins sums += left · tile, over the 64 rows of the tile.
__device__ inline void add_rows(WarpgroupSums& sums, const u32 (&left)[4][4], u64 tile) {
#pragma unroll
    for (u32 step = 0; step < 4; step++) multiply_tile<true>(sums, left[step], rows_of(tile, step), true);
}
