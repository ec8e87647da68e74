// softcap: (z[n]) → cap·tanh(z/cap). softcap_grad: (z[n], dy[n]) → dy·(1 - tanh²(z/cap)). One thread per element.

#include "shared/math.cuh"

extern "C" __global__ void __launch_bounds__(256) softcap(const float* z, float* y, u32 n, float cap) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = cap * tanhf(z[i] / cap);
}

extern "C" __global__ void __launch_bounds__(256)
softcap_grad(const float* z, const float* dy, float* dz, u32 n, float cap) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dz[i] = dy[i] * tanh_slope(z[i] / cap);
}
