// row: (w[r,d]) → w[index]. row_grad: (dy[d]) → [r,d], zero but for that row. One thread per element of the result.

#include "shared/vector.cuh"

// start = index·d; n: elements of the result
extern "C" __global__ void __launch_bounds__(256) row(const float* w, float* y, u32 n, u32 d, u32 start) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = w[start + i];
}

extern "C" __global__ void __launch_bounds__(256) row_grad(const float* dy, float* dw, u32 n, u32 d, u32 start) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) dw[i] = i >= start && i - start < d ? dy[i - start] : 0.0f;
}
