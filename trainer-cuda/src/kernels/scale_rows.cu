// scale_rows: (w[r,c], s[r]) → s⊙w, one thread per element. scale_rows_grad: (w[r,c], s[r], dy[r,c]) → (dw[r,c], ds[r]):
// dw = s⊙dy, ds = Σ_c w⊙dy. One warp per row, strided over its columns.

#include "shared/reduce.cuh"

// n: elements
extern "C" __global__ void __launch_bounds__(256) scale_rows(const float* w, const float* s, float* y, u32 n, u32 cols) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = s[i / cols] * w[i];
}

extern "C" __global__ void __launch_bounds__(256)
scale_rows_grad(const float* w, const float* s, const float* dy, float* dw, float* ds, u32 rows, u32 cols) {
    const u32 row = warp_index();
    if (row >= rows) return;
    const u32 lane = threadIdx.x % WARP;
    const u32 first = row * cols;
    float sum = 0.0f;
    for (u32 c = lane; c < cols; c += WARP) {
        dw[first + c] = s[row] * dy[first + c];
        sum += w[first + c] * dy[first + c];
    }
    const float total = warp_sum(sum);
    if (lane == 0) ds[row] = total;
}
