// Steps of newton_schulz around the products of its stack, whose members are matrices of n entries.
//
// squares: rows of a member u[n] → Σu² of every piece, a block each. norms: the pieces of every member → √Σu² + 1e-7, a block
// each. stack: rows of a member u[n] → u / its norm, in its place in x. combine: y ← y_factor·y + x_factor·x, one thread per
// eight elements. result: rows of a member, factor·x + update of it → o[n]. One block per piece of a row.

#include "shared/elements.cuh"
#include "shared/reduce.cuh"
#include "shared/rows.cuh"

struct OperandRow {
    const float* u;  // [n]
    u32 member;
};

// pieces: [members, ⌈n/PIECE⌉]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_squares(Rows<OperandRow> table, float* pieces, u32 rows, u32 n) {
    __shared__ u32 found;
    __shared__ float of_warps[8];
    const Own<OperandRow> own = table.own(rows, found);
    float sum = 0.0f;
    own_eight(own.block, n, [&](Form form, u32 i) {
        const Eight u = form.load(own.row.u, i);
        sum = dot(u, u);
    });
    const float total = block_sum(sum, of_warps);
    if (threadIdx.x == 0) pieces[own.row.member * ((n + PIECE - 1) / PIECE) + own.block] = total;
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

// norms: [members], x: [members, n]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_stack(Rows<OperandRow> table, const float* norms, Act* x, u32 rows, u32 n) {
    __shared__ u32 found;
    const Own<OperandRow> own = table.own(rows, found);
    const float factor = 1.0f / norms[own.row.member];
    Act* member = x + own.row.member * n;
    own_eight(own.block, n, [&](Form form, u32 i) {
        form.store(member, i, form.load(own.row.u, i) * factor);
    });
}

// x, y: [all]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_combine(const Act* x, Act* y, u32 all, float y_factor, float x_factor) {
    map_two(x, y, y, all, [&](float x, float y) { return y_factor * y + x_factor * x; });
}

struct ResultRow {
    float* o;  // [n]
    u32 member;
};

// update, x: [members, n]
extern "C" __global__ void __launch_bounds__(256)
newton_schulz_result(Rows<ResultRow> table, const Act* update, const Act* x, u32 rows, u32 n, float factor) {
    __shared__ u32 found;
    const Own<ResultRow> own = table.own(rows, found);
    const u32 start = own.row.member * n;
    own_eight(own.block, n, [&](Form form, u32 i) {
        const Eight sum = add_products(form.load(update + start, i), form.load(x + start, i), factor);
        form.store(own.row.o, i, sum);
    });
}
