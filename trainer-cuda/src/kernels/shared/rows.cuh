// Rows of a launch over many tensors: what differs from tensor to tensor lies in a table, in which a block finds its row.
//
// A row is a struct of pointers and then of words. Behind the rows of a table stand the first block of each and the number
// of all blocks.

#pragma once

#include "shared/pieces.cuh"

// A block's row, and its number among the blocks of that row.
template <class R> struct Own {
    R row;
    u32 block;
};

// The first argument of a kernel over rows; it is the address of the table.
template <class R> struct Rows {
    // For the emulation, which compares signatures.
    typedef R Row;

    const R* at;

    // The row of this block, of so many: every thread asks for one of them, since a search would be reads that wait for each
    // other. `found` is shared memory. Call with all threads.
    __device__ Own<R> own(u32 rows, u32& found) const {
        const u32* first = (const u32*)(at + rows);
        for (u32 i = threadIdx.x; i < rows; i += blockDim.x) {
            if (first[i] <= blockIdx.x && blockIdx.x < first[i + 1]) found = i;
        }
        __syncthreads();
        return {at[found], blockIdx.x - first[found]};
    }
};
