// Pieces of long vectors: what a block works on where it takes more than one element per thread.

#pragma once

#include "shared/vector.cuh"

// Elements of a piece: eight strided, hence coalesced, accesses per thread of 256.
const u32 PIECE = 2048;

// Calls use(i) for the elements of a piece of a vector of n, each in one thread.
template <class Use> __device__ inline void each_of_piece(u32 piece, u32 n, Use use) {
    const u32 end = min((piece + 1) * PIECE, n);
    for (u32 i = piece * PIECE + threadIdx.x; i < end; i += blockDim.x) use(i);
}
