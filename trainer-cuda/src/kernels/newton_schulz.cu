// Steps of newton_schulz around its products. normalize: (u[n], Σu²[]) → u/(√Σu² + 1e-7).
// combine: y ← y_factor·y + x_factor·x. One thread per element.

#include "shared/vector.cuh"

extern "C" __global__ void __launch_bounds__(256)
newton_schulz_normalize(const float* u, float* y, const float* squares, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = u[i] / (sqrtf(*squares) + 1e-7f);
}

extern "C" __global__ void __launch_bounds__(256)
newton_schulz_combine(const float* x, float* y, u32 n, float y_factor, float x_factor) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = y_factor * y[i] + x_factor * x[i];
}
