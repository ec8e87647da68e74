// rms_norm: (x[n,d]) → scale·x/√(mean x² + ε). rms_norm_grad: (x[n,d], dy[n,d]) → dx[n,d] =
// scale·r·(dy - x·r²·mean(x·dy)), r = 1/√(mean x² + ε), or added to dx. One warp per row, strided over its channels: no barrier.

#include "shared/activation.cuh"
#include "shared/reduce.cuh"

const float EPSILON = 1.1920929e-7f;

extern "C" __global__ void __launch_bounds__(256) rms_norm(const Act* x, Act* y, u32 n, u32 d, float scale) {
    const u32 row = warp_index();
    if (row >= n) return;
    const u32 lane = threadIdx.x % WARP;
    const Act* from = x + row * d;
    float sum = 0.0f;
    for (u32 c = lane; c < d; c += WARP) sum += from[c] * from[c];
    const float factor = scale * rsqrtf(warp_sum(sum) / (float)d + EPSILON);
    for (u32 c = lane; c < d; c += WARP) y[row * d + c] = from[c] * factor;
}

extern "C" __global__ void __launch_bounds__(256)
rms_norm_grad(const Act* x, const Act* dy, Act* dx, u32 n, u32 d, float scale, u32 accumulate) {
    const u32 row = warp_index();
    if (row >= n) return;
    const u32 lane = threadIdx.x % WARP;
    const u32 first = row * d;
    float square = 0.0f;
    float product = 0.0f;
    for (u32 c = lane; c < d; c += WARP) {
        square += x[first + c] * x[first + c];
        product += x[first + c] * dy[first + c];
    }
    const float r = rsqrtf(warp_sum(square) / (float)d + EPSILON);
    const float inner = r * r * (warp_sum(product) / (float)d);
    for (u32 c = lane; c < d; c += WARP) {
        const float before = accumulate ? dx[first + c] : 0.0f;
        dx[first + c] = before + scale * r * (dy[first + c] - x[first + c] * inner);
    }
}
