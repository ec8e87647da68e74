// scale_rows: (w[r,c], s[r]) → s⊙w. scale_rows_grad: (w[r,c], s[r], dy[r,c]) → (dw[r,c], ds[r]): dw = s⊙dy, ds = Σ_c w⊙dy.
// One warp per row, eight columns a lane at a time.

#include "shared/eights.cuh"
#include "shared/reduce.cuh"

// Calls use(at, end) for a lane's eights of row `row`.
template <class Use> __device__ inline void each_of_row(u32 row, u32 cols, Use use) {
    const u32 end = (row + 1) * cols;
    for (u32 at = row * cols + threadIdx.x % WARP * 8; at < end; at += WARP * 8) use(at, end);
}

template <bool WHOLE> __device__ inline void scaled(const float* w, float factor, float* y, u32 row, u32 cols) {
    each_of_row(row, cols, [&](u32 at, u32 end) { store_eight<WHOLE>(y, at, end, eight_from<WHOLE>(w, at, end) * factor); });
}

extern "C" __global__ void __launch_bounds__(256) scale_rows(const float* w, const float* s, float* y, u32 rows, u32 cols) {
    const u32 row = warp_index();
    if (row >= rows) return;
    cols % 8 == 0 ? scaled<true>(w, s[row], y, row, cols) : scaled<false>(w, s[row], y, row, cols);
}

template <bool WHOLE>
__device__ inline float gradient(const float* w, float factor, const float* dy, float* dw, u32 row, u32 cols) {
    float sum = 0.0f;
    each_of_row(row, cols, [&](u32 at, u32 end) {
        const Eight slope = eight_from<WHOLE>(dy, at, end);
        sum += dot(eight_from<WHOLE>(w, at, end), slope);
        store_eight<WHOLE>(dw, at, end, slope * factor);
    });
    return warp_sum(sum);
}

extern "C" __global__ void __launch_bounds__(256)
scale_rows_grad(const float* w, const float* s, const float* dy, float* dw, float* ds, u32 rows, u32 cols) {
    const u32 row = warp_index();
    if (row >= rows) return;
    const float sum = cols % 8 == 0 ? gradient<true>(w, s[row], dy, dw, row, cols) : gradient<false>(w, s[row], dy, dw, row, cols);
    if (threadIdx.x % WARP == 0) ds[row] = sum;
}
