// Steps of newton_schulz around the products of its stack, whose members are matrices of n floats.
//
// stack: a member u[n] → its place in x, and Σu² of every piece of 2048 elements, a block each. norms: the pieces of every
// member → √Σu² + 1e-7, a block each. normalize: x ← x / norm of the member. combine: y ← y_factor·y + x_factor·x.
// result: factor·x + update of a member → o[n]. The last three: one thread per element.

#include "shared/reduce.cuh"

// Elements of a piece: eight strided, hence coalesced, loads per thread.
const u32 PIECE = 2048;

__device__ inline float combined(float y, float x, float y_factor, float x_factor) {
    return y_factor * y + x_factor * x;
}

extern "C" __global__ void __launch_bounds__(256)
newton_schulz_stack(const float* u, float* x, float* pieces, u32 n, u32 member) {
    __shared__ float of_warps[8];
    float* own = x + member * n;
    const u32 end = min((blockIdx.x + 1) * PIECE, n);
    float sum = 0.0f;
    for (u32 i = blockIdx.x * PIECE + threadIdx.x; i < end; i += blockDim.x) {
        const float entry = u[i];
        own[i] = entry;
        sum += entry * entry;
    }
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) pieces[member * gridDim.x + blockIdx.x] = total;
}

// pieces: [members, count]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_norms(const float* pieces, float* norms, u32 count) {
    __shared__ float of_warps[8];
    const float* own = pieces + blockIdx.x * count;
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) sum += own[i];
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) norms[blockIdx.x] = sqrtf(total) + 1e-7f;
}

// x: [all]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_normalize(const float* norms, float* x, u32 all, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < all) x[i] /= norms[i / n];
}

// x, y: [all]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_combine(const float* x, float* y, u32 all, float y_factor, float x_factor) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < all) y[i] = combined(y[i], x[i], y_factor, x_factor);
}

// update, x: [members, n]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_result(const float* update, const float* x, float* o, u32 n, u32 member, float factor) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) o[i] = combined(x[member * n + i], update[member * n + i], factor, 1.0f);
}
