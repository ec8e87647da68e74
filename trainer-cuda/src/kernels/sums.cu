// Sums of a whole vector in two stages. sum_pieces: (x[n]) → (y[pieces]), Σx of every piece, a block each. square_pieces: the
// same of rows, and of x². sum_all: rows of (x[n]) → (y[]), factor·Σx, a block each, for partial sums and short vectors.
// scale_by_grad: (x[n], s[], dy[n]) → (dx[n], partials[pieces]), dx = s·dy, partials = Σ x·dy of every piece.
// scale_by: (x[n], s[]) → s·x, one thread per eight elements.

#include "shared/elements.cuh"
#include "shared/reduce.cuh"
#include "shared/rows.cuh"

// Σ term(x) over the elements of a piece of x[n], to y[piece]; term(0) is 0.
template <class Term>
__device__ inline void sum_piece(const float* x, float* y, float* of_warps, u32 piece, u32 n, Term term) {
    float sum = 0.0f;
    own_eight(piece, n, [&](Form form, u32 i) {
        const Eight own = form.load(x, i);
#pragma unroll
        for (u32 k = 0; k < 8; k++) sum += term(own.v[k]);
    });
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
    sum_piece(x, y, of_warps, blockIdx.x, n, [](float x) { return x; });
}

extern "C" __global__ void __launch_bounds__(256) square_pieces(Rows<SumRow> table, u32 rows) {
    __shared__ u32 found;
    __shared__ float of_warps[8];
    const Own<SumRow> own = table.own(rows, found);
    sum_piece(own.row.x, own.row.y, of_warps, own.block, own.row.n, [](float x) { return x * x; });
}

// Writes s·dy of a thread's eight elements; Σ x·dy of them.
template <bool WHOLE> __device__ inline float scaled_eight(const Act* x, const float* s, const Act* dy, Act* dx, u32 n) {
    const u32 i = first_of_eight();
    const Eight slope = eight_from<WHOLE>(dy, i, n);
    const float sum = dot(eight_from<WHOLE>(x, i, n), slope);
    store_eight<WHOLE>(dx, i, n, slope * *s);
    return sum;
}

// A piece is eight elements per thread.
extern "C" __global__ void __launch_bounds__(256)
scale_by_grad(const Act* x, const float* s, const Act* dy, Act* dx, float* partials, u32 n) {
    __shared__ float of_warps[8];
    const float sum = n % 8 == 0 ? scaled_eight<true>(x, s, dy, dx, n) : scaled_eight<false>(x, s, dy, dx, n);
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) partials[blockIdx.x] = total;
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
    const float factor = *s;
    map_one(x, y, n, [&](float x) { return factor * x; });
}
