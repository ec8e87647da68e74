// Attention and its gradient on tensor cores: what 4 warps do with rows of heads that lie in memory as bf16, W channels to
// a row (the head's own, continued with zeros).
//
// A warp owns MATRICES · 16 rows of a head, whose operands and sums stay in its registers. The rows of the other side
// stream through shared memory, STREAM at a time, in two stages: the next is copied while one is used, and a single
// barrier per stage both publishes it and frees the other. A row is W / 8 vectors of 8 channels; a vector lies at its
// column xor its row, so that the 8 rows of a matrix of ldmatrix, down or along, never collide in a bank.
//
// Wide heads have half the rows, as registers hold rows · channels; nothing here spills (the compiler's report is tested).

#pragma once

#include "shared/activation.cuh"
#include "shared/attention_weights.cuh"

// Scalars of the kernels; the host passes them as so many words.
struct TensorHeads {
    u32 heads;    // h
    u32 group;    // query heads on one key/value head
    u32 seq;      // tokens of a window
    u32 width;    // c: channels of a head in results
    u32 tiles;    // tiles of Cut::ROWS tokens in a window
    u32 strands;  // blocks with the same tile: windows · heads
    float scale;  // 1/√c
    static constexpr const char* LETTERS = "uuuuuuf";
};

template <u32 W> struct Cut {
    static constexpr u32 VECTORS = W / 8;                 // of a row
    static constexpr u32 STEPS = W / 16;                  // of depth of a product over channels
    static constexpr u32 MATRICES = W > 64 ? 1 : 2;       // of 16 rows, of a warp
    static constexpr u32 WARP_ROWS = 16 * MATRICES;
    static constexpr u32 ROWS = 4 * WARP_ROWS;            // of a block
    static constexpr u32 STREAM = W > 64 ? 32 : 64;       // rows of the other side, at a time
};

const u32 TENSOR_THREADS = 128;

// COUNT rows of two operands.
template <u32 W, u32 COUNT> struct Stage {
    uint4 first[COUNT * Cut<W>::VECTORS];
    uint4 second[COUNT * Cut<W>::VECTORS];
};

// What a block computes: one tile of a window, one head.
struct Strand {
    u32 tile, window, head;
};

// Strands whose tiles follow each other. Every tile of a strand reads the other side of the same head, half a megabyte for 2048
// tokens: blocks that run at a time then read what fits a cache, where all strands at a time would not.
const u32 NEIGHBOURS = 16;

// Of this block; `heads` are query heads or key/value heads. Of neighbours, the tiles with the largest numbers come first, or
// those with the smallest: the ones that take longest.
__device__ inline Strand strand_of_block(const TensorHeads& p, u32 heads, bool largest_first) {
    const u32 begin = blockIdx.x / (p.tiles * NEIGHBOURS) * NEIGHBOURS;
    const u32 count = min(NEIGHBOURS, p.strands - begin);
    const u32 at = blockIdx.x - begin * p.tiles;
    const u32 tile = at / count;
    const u32 strand = begin + at % count;
    return {largest_first ? p.tiles - 1 - tile : tile, strand / heads, strand % heads};
}

// Row of token `t` of a window in x[n, heads].
__device__ inline u32 row_of(const TensorHeads& p, u32 window, u32 t, u32 head, u32 heads) {
    return (window * p.seq + t) * heads + head;
}

// Where vector `c` of row `row` lies in a stage. Two rows of 32 channels share the banks of one of 64.
template <u32 W> __device__ inline u32 place(u32 row, u32 c) {
    return row * Cut<W>::VECTORS + (c ^ (W == 32 ? row / 2 % 4 : row % 8));
}

// Starts the copy of COUNT tokens from `t` on of one head of x[n, heads, W]; zeros beyond the window. Not
// unrolled: addresses kept in registers between stages would make the gradient's kernels spill.
template <u32 W, u32 COUNT, u32 THREADS = TENSOR_THREADS>
__device__ inline void fetch(uint4* tile, const uint4* x, const TensorHeads& p, u32 window, u32 t, u32 head, u32 heads) {
#pragma unroll 1
    for (u32 i = 0; i < COUNT * Cut<W>::VECTORS / THREADS; i++) {
        const u32 at = i * THREADS + threadIdx.x;
        const u32 row = at / Cut<W>::VECTORS;
        const u32 c = at % Cut<W>::VECTORS;
        const bool exists = t + row < p.seq;
        const u32 from = exists ? row_of(p, window, t + row, head, heads) * Cut<W>::VECTORS + c : 0;
        copy_async<16>(&tile[place<W>(row, c)], x + from, exists);
    }
}

// A warp's rows as left operands, in registers: the tokens from `t` on of one head of x[n, heads, W]; zeros beyond the window.
template <u32 W, u32 M = Cut<W>::MATRICES> struct Rows {
    u32 v[M][Cut<W>::STEPS][4];

    __device__ void load(const u32* x, const TensorHeads& p, u32 window, u32 t, u32 head, u32 heads) {
#pragma unroll
        for (u32 i = 0; i < 2 * M; i++) {
            const u32 own = t + 8 * i + lane_group();
            const bool exists = own < p.seq;
            const u32* from = x + (exists ? row_of(p, window, own, head, heads) * (W / 2) + lane_member() : 0);
#pragma unroll
            for (u32 step = 0; step < Cut<W>::STEPS; step++) {
                v[i / 2][step][i % 2] = exists ? from[8 * step] : 0;
                v[i / 2][step][2 + i % 2] = exists ? from[8 * step + 4] : 0;
            }
        }
    }

    __device__ void operand(u32 (&a)[4], u32 m, u32 step) const {
#pragma unroll
        for (u32 i = 0; i < 4; i++) a[i] = v[m][step][i];
    }
};

// The same in shared memory, from row `first` of a tile on.
template <u32 W> struct SharedRows {
    const uint4* tile;
    u32 first;

    __device__ void operand(u32 (&a)[4], u32 m, u32 step) const {
        const u32 lane = threadIdx.x % 32;
        load_matrices(a, &tile[place<W>(first + 16 * m + lane % 16, lane / 16) ^ 2 * step]);
    }
};

// A warp's results: its rows by N · 8 columns, as the instruction orders them.
template <u32 W, u32 N> struct Sums {
    float v[Cut<W>::MATRICES][N][4];
};

// Both products of 16 columns.
__device__ inline void multiply_add_two(float (&left)[4], float (&right)[4], const u32 (&a)[4], const u32 (&b)[4]) {
    const u32 first[2] = {b[0], b[1]};
    const u32 second[2] = {b[2], b[3]};
    multiply_add_bf16(left, a, first);
    multiply_add_bf16(right, a, second);
}

// Products of a warp's rows with N · 8 rows of a stage from `row` on.
template <u32 W, u32 N, class Left>
__device__ inline Sums<W, N> products(const Left& rows, const uint4* tile, u32 row) {
    Sums<W, N> sums = {};
    const u32 lane = threadIdx.x % 32;
#pragma unroll
    for (u32 step = 0; step < Cut<W>::STEPS; step++) {
        u32 a[Cut<W>::MATRICES][4];
#pragma unroll
        for (u32 m = 0; m < Cut<W>::MATRICES; m++) rows.operand(a[m], m, step);
#pragma unroll
        for (u32 n = 0; n < N; n += 2) {
            u32 b[4];
            // Columns are chosen by ^, as place() does: that needs one register for all steps.
            load_matrices(b, &tile[place<W>(row + 8 * n + lane / 16 * 8 + lane % 8, lane / 8 % 2) ^ 2 * step]);
#pragma unroll
            for (u32 m = 0; m < Cut<W>::MATRICES; m++) {
                multiply_add_two(sums.v[m][n], sums.v[m][n + 1], a[m], b);
            }
        }
    }
    return sums;
}

// sums += weights · (16 rows of a stage from `row` on), the weights as left operands.
template <u32 W>
__device__ inline void add_weighted(Sums<W, Cut<W>::VECTORS>& sums, const u32 (&weights)[Cut<W>::MATRICES][4],
                                    const uint4* tile, u32 row) {
    const u32 lane = threadIdx.x % 32;
#pragma unroll
    for (u32 step = 0; step < Cut<W>::STEPS; step++) {
        u32 b[4];
        load_matrices_transposed(b, &tile[place<W>(row + lane % 16, lane / 16) ^ 2 * step]);
#pragma unroll
        for (u32 m = 0; m < Cut<W>::MATRICES; m++) {
            multiply_add_two(sums.v[m][2 * step], sums.v[m][2 * step + 1], weights[m], b);
        }
    }
}

// Stores 16 rows of sums, times `factor[0]` the first eight and `factor[1]` the others, as tokens from `t` on of one head
// of y[n, heads, width].
template <u32 W>
__device__ inline void store_rows(Act* y, const float (&sums)[Cut<W>::VECTORS][4], const float (&factor)[2],
                                  const TensorHeads& p, u32 window, u32 t, u32 head, u32 heads) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        const u32 own = t + 8 * half + lane_group();
        if (own >= p.seq) continue;
        Act* row = y + row_of(p, window, own, head, heads) * p.width;
#pragma unroll
        for (u32 n = 0; n < Cut<W>::VECTORS; n++) {
            const u32 c = 8 * n + 2 * lane_member();
            const float left = sums[n][2 * half] * factor[half];
            const float right = sums[n][2 * half + 1] * factor[half];
            if (p.width % 2 == 0) {
                if (c < p.width) store_two(row + c, left, right);
            } else {
                if (c < p.width) row[c] = left;
                if (c + 1 < p.width) row[c + 1] = right;
            }
        }
    }
}
