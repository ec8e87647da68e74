// Sums of a whole vector in two stages. sum_pieces, square_pieces: (x[n]) → (y[pieces]), Σx or Σx² of every piece of 2048
// elements, a block each. sum_all: (x[n]) → (y[]), factor·Σx by one block, for partial sums and short vectors.
// scale_by_grad: (x[n], s[], dy[n]) → (dx[n], partials[pieces]), dx = s·dy, partials = Σ x·dy of every piece.
// scale_by: (x[n], s[]) → s·x, one thread per element.

#include "shared/activation.cuh"
#include "shared/reduce.cuh"

// Elements of a piece: eight strided, hence coalesced, loads per thread.
const u32 PIECE = 2048;

// Σ term(i) over the elements of this block's piece, to y[piece].
template <class Term> __device__ inline void sum_piece(float* y, float* of_warps, u32 n, Term term) {
    const u32 end = min((blockIdx.x + 1) * PIECE, n);
    float sum = 0.0f;
    for (u32 i = blockIdx.x * PIECE + threadIdx.x; i < end; i += blockDim.x) sum += term(i);
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) y[blockIdx.x] = total;
}

extern "C" __global__ void __launch_bounds__(256) sum_pieces(const float* x, float* y, u32 n) {
    __shared__ float of_warps[8];
    sum_piece(y, of_warps, n, [&](u32 i) { return x[i]; });
}

extern "C" __global__ void __launch_bounds__(256) square_pieces(const float* x, float* y, u32 n) {
    __shared__ float of_warps[8];
    sum_piece(y, of_warps, n, [&](u32 i) { return x[i] * x[i]; });
}

extern "C" __global__ void __launch_bounds__(256)
scale_by_grad(const Act* x, const float* s, const Act* dy, Act* dx, float* partials, u32 n) {
    __shared__ float of_warps[8];
    sum_piece(partials, of_warps, n, [&](u32 i) {
        dx[i] = *s * dy[i];
        return x[i] * dy[i];
    });
}

extern "C" __global__ void __launch_bounds__(256) sum_all(const float* x, float* y, u32 n, float factor) {
    __shared__ float of_warps[8];
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < n; i += blockDim.x) sum += x[i];
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) *y = factor * total;
}

extern "C" __global__ void __launch_bounds__(256) scale_by(const Act* x, const float* s, Act* y, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = *s * x[i];
}
