// Sums of a whole vector in two stages. sum_pieces: (x[n]) → (y[pieces]), Σx of every piece, a block each. square_pieces: the
// same of rows, and of x². sum_all: rows of (x[n]) → (y[]), factor·Σx, a block each, for partial sums and short vectors.
// scale_by_grad: (x[n], s[], dy[n]) → (dx[n], partials[pieces]), dx = s·dy, partials = Σ x·dy of every piece.
// scale_by: (x[n], s[]) → s·x, one thread per element.

#include "shared/activation.cuh"
#include "shared/reduce.cuh"
#include "shared/rows.cuh"

// Σ term(i) over the elements of a piece of n elements, to y[piece].
template <class Term> __device__ inline void sum_piece(float* y, float* of_warps, u32 piece, u32 n, Term term) {
    float sum = 0.0f;
    each_of_piece(piece, n, [&](u32 i) { sum += term(i); });
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) y[piece] = total;
}

struct SumRow {
    const float* x;  // [n]
    float* y;        // [pieces] or []
    u32 n;
};

extern "C" __global__ void __launch_bounds__(256) sum_pieces(const float* x, float* y, u32 n) {
    __shared__ float of_warps[8];
    sum_piece(y, of_warps, blockIdx.x, n, [&](u32 i) { return x[i]; });
}

extern "C" __global__ void __launch_bounds__(256) square_pieces(Rows<SumRow> table, u32 rows) {
    __shared__ u32 found;
    __shared__ float of_warps[8];
    const Own<SumRow> own = table.own(rows, found);
    const float* x = own.row.x;
    sum_piece(own.row.y, of_warps, own.block, own.row.n, [&](u32 i) { return x[i] * x[i]; });
}

extern "C" __global__ void __launch_bounds__(256)
scale_by_grad(const Act* x, const float* s, const Act* dy, Act* dx, float* partials, u32 n) {
    __shared__ float of_warps[8];
    sum_piece(partials, of_warps, blockIdx.x, n, [&](u32 i) {
        dx[i] = *s * dy[i];
        return x[i] * dy[i];
    });
}

extern "C" __global__ void __launch_bounds__(256) sum_all(Rows<SumRow> table, u32 rows, float factor) {
    __shared__ u32 found;
    __shared__ float of_warps[8];
    const Own<SumRow> own = table.own(rows, found);
    float sum = 0.0f;
    for (u32 i = threadIdx.x; i < own.row.n; i += blockDim.x) sum += own.row.x[i];
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) *own.row.y = factor * total;
}

extern "C" __global__ void __launch_bounds__(256) scale_by(const Act* x, const float* s, Act* y, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = *s * x[i];
}
