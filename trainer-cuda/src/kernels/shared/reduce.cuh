// Sums in a fixed order: over the 32 threads of a warp by a butterfly, over a block by its warps in order.

#pragma once

#include "shared/vector.cuh"

const u32 WARP = 32;
const u32 ALL_LANES = 0xffffffffu;

// Σ value over the warp, given to every lane. Call with all lanes.
__device__ inline float warp_sum(float value) {
    for (u32 step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

// Largest of a row's entries over the four neighbours that own it in a result of tensor cores, given to each. Call with all
// lanes.
__device__ inline float largest_of_four(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}

// The same for the sum.
__device__ inline float sum_of_four(float x) {
    x += __shfl_xor_sync(ALL_LANES, x, 1);
    return x + __shfl_xor_sync(ALL_LANES, x, 2);
}

// Σ value over the block, given to every thread; `of_warps` is shared memory of a float per warp. Call with all threads.
__device__ inline float block_sum(float value, float* of_warps) {
    value = warp_sum(value);
    // Nobody may still read what an earlier sum left.
    __syncthreads();
    if (threadIdx.x % WARP == 0) of_warps[threadIdx.x / WARP] = value;
    __syncthreads();
    float sum = 0.0f;
    for (u32 warp = 0; warp < blockDim.x / WARP; warp++) sum += of_warps[warp];
    return sum;
}

// Index of this warp in the grid: what a kernel of one warp per row takes as its row.
__device__ inline u32 warp_index() { return (blockIdx.x * blockDim.x + threadIdx.x) / WARP; }
