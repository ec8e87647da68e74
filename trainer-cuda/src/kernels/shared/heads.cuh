// Rows of heads, narrow and many: so many lanes of a warp take a head that each has eight channels of it. WHOLE are heads of
// whole eights and at most 256 channels; of others lanes may have more eights, which are then read again where they stay in
// registers here.

#pragma once

#include "shared/eights.cuh"
#include "shared/reduce.cuh"

// This thread's place among the heads. Beyond the last head it takes part in sums, with nothing of its own.
template <bool WHOLE> struct HeadPlace {
    u32 lanes, item;
    u32 first;       // of this lane's channels
    u32 width, end;  // channels of a head, and of this one: none if it does not exist

    // Calls use(c) for the first of every eight channels of this lane, as often in all lanes: use may add over them.
    template <class Use> __device__ void each(Use use) const {
        if (WHOLE) return use(first);
        for (u32 c = first; c - first < width; c += 8 * lanes) use(c);
    }

    // Whether lanes have more than eight channels.
    __device__ bool is_long() const { return !WHOLE && width > 8 * lanes; }

    // Channels from c on of the head at `row`.
    template <class Entry> __device__ Eight load(const Entry* x, u32 row, u32 c) const {
        return eight_from<WHOLE>(x, row + c, row + end);
    }
    __device__ void store(Act* y, u32 row, u32 c, const Eight& e) const { store_eight<WHOLE>(y, row + c, row + end, e); }

    // Σ value over the lanes of the head. Call with all lanes.
    __device__ float sum(float value) const {
        for (u32 step = lanes / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
        return value;
    }
};

template <bool WHOLE> __device__ inline HeadPlace<WHOLE> head_place(u32 items, u32 width) {
    u32 lanes = 1;
    while (lanes < WARP && 8 * lanes < width) lanes *= 2;
    const u32 item = (blockIdx.x * blockDim.x + threadIdx.x) / lanes;
    return {lanes, item, threadIdx.x % lanes * 8, width, item < items ? width : 0};
}

// Whether heads of so many channels can be WHOLE.
__device__ inline bool are_whole(u32 width) { return width % 8 == 0 && width <= 8 * WARP; }
