// fill: every word of a buffer set to one bit pattern. One thread per word.

#include "shared/vector.cuh"

// y[n]
extern "C" __global__ void __launch_bounds__(256) fill(u32* y, u32 n, u32 word) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = word;
}
