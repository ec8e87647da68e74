// Attention and its gradient on Hopper's tensor cores: tiles of 64 rows of a head stream through shared memory in two stages, in
// the layout that products of a warpgroup read.
//
// Of a stage's life: publish_copies() makes it everybody's; products read it; once everybody has waited for the products of the
// stage before, a barrier frees that one and the next copies begin.

#pragma once

#include "shared/attention_bf16.cuh"
#include "shared/warpgroup.cuh"

const u32 TILE_ROWS = 64;

// Rows of two operands.
struct Tiles {
    alignas(1024) uint4 first[TILE_ROWS * Cut<64>::VECTORS];
    alignas(1024) uint4 second[TILE_ROWS * Cut<64>::VECTORS];
};

// Starts the copies of the tokens from `t` on of one head of a[n, heads, 64] and b[n, heads, 64]; zeros beyond the window. place()
// lays vectors as tiles want them.
template <u32 WARPGROUPS>
__device__ inline void fetch_tiles(Tiles& tiles, const uint4* a, const uint4* b, const TensorHeads& p, u32 window, u32 t, u32 head,
                                   u32 heads) {
    fetch<64, TILE_ROWS, 128 * WARPGROUPS>(tiles.first, a, p, window, t, head, heads);
    fetch<64, TILE_ROWS, 128 * WARPGROUPS>(tiles.second, b, p, window, t, head, heads);
    commit_copies();
}

// Waits for the block's copies and shows them to products.
__device__ inline void publish_copies() {
    wait_for_copies<0>();
    announce_tiles();
    __syncthreads();
}
