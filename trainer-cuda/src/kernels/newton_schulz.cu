// Steps of newton_schulz around the products of its stack, whose members are matrices of n floats.
//
// stack: rows of a member u[n] → its place in x, and Σu² of every piece, a block each. norms: the pieces of every member →
// √Σu² + 1e-7, a block each. normalize: x ← x / norm of the member. combine: y ← y_factor·y + x_factor·x. These two: one
// thread per element. result: rows of a member, factor·x + update of it → o[n], one block per piece.

#include "shared/reduce.cuh"
#include "shared/rows.cuh"

__device__ inline float combined(float y, float x, float y_factor, float x_factor) {
    return y_factor * y + x_factor * x;
}

struct OperandRow {
    const float* u;  // [n]
    u32 member;
};

// x: [members, n], pieces: [members, ⌈n/PIECE⌉]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_stack(Rows<OperandRow> table, float* x, float* pieces, u32 rows, u32 n) {
    __shared__ u32 found;
    __shared__ float of_warps[8];
    const Own<OperandRow> own = table.own(rows, found);
    const u32 member = own.row.member;
    const float* u = own.row.u;
    float sum = 0.0f;
    each_of_piece(own.block, n, [&](u32 i) {
        const float entry = u[i];
        x[member * n + i] = entry;
        sum += entry * entry;
    });
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) pieces[member * ((n + PIECE - 1) / PIECE) + own.block] = total;
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

struct ResultRow {
    float* o;  // [n]
    u32 member;
};

// update, x: [members, n]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_result(Rows<ResultRow> table, const float* update, const float* x, u32 rows, u32 n, float factor) {
    __shared__ u32 found;
    const Own<ResultRow> own = table.own(rows, found);
    const u32 start = own.row.member * n;
    each_of_piece(own.block, n, [&](u32 i) { own.row.o[i] = combined(x[start + i], update[start + i], factor, 1.0f); });
}
