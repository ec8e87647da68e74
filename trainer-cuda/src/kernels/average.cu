// average: (mean[n] in place, x[n], keep[]): mean ← keep·mean + (1-keep)·x. One thread per element.

#include "shared/vector.cuh"

extern "C" __global__ void __launch_bounds__(256) average(float* mean, const float* x, const float* keep, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) mean[i] = *keep * mean[i] + (1.0f - *keep) * x[i];
}
