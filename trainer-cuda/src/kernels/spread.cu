// spread: (g[]) → y[n], every entry g·factor, factor = 1/n. One thread per element.

#include "shared/vector.cuh"

extern "C" __global__ void __launch_bounds__(256) spread(const float* g, float* y, u32 n, float factor) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = *g * factor;
}
