// copy: x[n] → y[n], any 32-bit words. One thread per word.

#include "shared/vector.cuh"

extern "C" __global__ void __launch_bounds__(256) copy(const u32* x, u32* y, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
