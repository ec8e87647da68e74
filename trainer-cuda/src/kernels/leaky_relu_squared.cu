// leaky_relu_squared: (z[n]) → (z if z ≥ 0 else slope·z)². leaky_relu_squared_grad: (z[n], dh[n]) → dz = 2z·dh for z ≥ 0,
// 2·slope²·z·dh below. One thread per element.

#include "shared/activation.cuh"

extern "C" __global__ void __launch_bounds__(256) leaky_relu_squared(const Act* z, Act* h, u32 n, float slope) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float a = z[i] >= 0.0f ? z[i] : slope * z[i];
    h[i] = a * a;
}

extern "C" __global__ void __launch_bounds__(256)
leaky_relu_squared_grad(const Act* z, const Act* dh, Act* dz, u32 n, float slope) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dz[i] = 2.0f * z[i] * dh[i] * (z[i] >= 0.0f ? 1.0f : slope * slope);
}
