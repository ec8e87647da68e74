// leaky_relu_squared: (z[n]) → (z if z ≥ 0 else slope·z)². leaky_relu_squared_grad: (z[n], dh[n]) → dz = 2z·dh for z ≥ 0,
// 2·slope²·z·dh below. One thread per eight elements.

#include "shared/elements.cuh"

extern "C" __global__ void __launch_bounds__(256) leaky_relu_squared(const Act* z, Act* h, u32 n, float slope) {
    map_one(z, h, n, [&](float x) {
        const float a = x >= 0.0f ? x : slope * x;
        return a * a;
    });
}

extern "C" __global__ void __launch_bounds__(256)
leaky_relu_squared_grad(const Act* z, const Act* dh, Act* dz, u32 n, float slope) {
    map_two(z, dh, dz, n, [&](float x, float dy) { return 2.0f * x * dy * (x >= 0.0f ? 1.0f : slope * slope); });
}
