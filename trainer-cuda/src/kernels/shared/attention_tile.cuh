// Tiles of attention and its gradient: products of 32 rows of heads by 32 others, by 64 threads.
//
// Thread (row, column) of an 8×8 square owns the rows row + 8i and the columns column + 8j of a tile, i, j < 4: 16
// products in registers for 8 vectors read from shared memory. A vector over j therefore holds every eighth column; the
// second product of attention sums over columns, so it takes them in that order. Rows of any width stream through shared
// memory 32 channels at a time; results are formed 64 channels (a chunk) to a block, and heads wider than a chunk
// repeat the scores in several blocks. Every vector lies at its column xor its row: 8 rows never collide in a bank.

#pragma once

#include "shared/vector.cuh"

// Scalars of the kernels over tiles; the host passes them as so many words.
struct Heads {
    u32 heads;    // h
    u32 group;    // query heads on one key/value head
    u32 seq;      // tokens of a window
    u32 width;    // w: vectors of 4 channels in a head
    u32 tiles;    // tiles of 32 tokens in a window
    u32 strands;  // blocks with the same tile: windows · heads · chunks
    u32 chunks;   // chunks of 64 channels in a head
    float scale;  // 1/√c
    static constexpr const char* LETTERS = "uuuuuuuf";
};

const u32 EIGHT = 8;
const u32 TILE = 32;
// Vectors of a chunk.
const u32 CHUNK = 16;
// A score of nothing: below every score.
const float MASKED = -1e30f;

// Shared memory of a block: `panel` holds 32 channels of 32 rows (slabs 0 to 3) and of 32 columns (4 to 7), or a chunk of
// 32 rows (0 to 3, then 4 to 7); `weights` a tile, vector `column` of a row being the columns column + 8j.
struct Tiles {
    float4 panel[8][8][8];
    float4 weights[4][8][8];
};

// A thread's vectors of the rows row + 8i.
struct Four {
    float4 v[4];
};

// A thread's share of 32 rows of a chunk: vectors `column` and `column + 8` of the rows row + 8i.
struct Share {
    Four low, high;
};

// A thread's place in the square.
struct Place {
    u32 row, column;
};

// What a block computes: one tile of a window, one head, one chunk of channels.
struct Strand {
    u32 tile, window, head, chunk;
};

__device__ inline Place place_of_thread() { return {threadIdx.x / EIGHT, threadIdx.x % EIGHT}; }

// Of this block, which takes tile `tile`; `heads` are query heads or key/value heads.
__device__ inline Strand strand_of_block(const Heads& p, u32 tile, u32 heads) {
    const u32 rest = blockIdx.x % p.strands;
    return {tile, rest / (p.chunks * heads), rest / p.chunks % heads, rest % p.chunks};
}

// Whether token `t` of a window and vector `c` of a head exist.
__device__ inline bool exists(const Heads& p, u32 t, u32 c) { return t < p.seq && c < p.width; }

// Where vector `c` of head `head` of `heads` lies for token `t` of window `window`.
__device__ inline u32 offset_of(const Heads& p, u32 window, u32 t, u32 head, u32 heads, u32 c) {
    return ((window * p.seq + t) * heads + head) * p.width + c;
}

// Vector `c` of the tokens t + 8i of one head of x[n, heads, w]; zeros beyond the window and the head.
__device__ inline Four rows_of(const float4* x, const Heads& p, u32 window, u32 t, u32 head, u32 heads, u32 c) {
    Four rows;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 at = t + EIGHT * i;
        rows.v[i] = exists(p, at, c) ? x[offset_of(p, window, at, head, heads, c)] : splat(0.0f);
    }
    return rows;
}

// Puts a thread's vectors into four slabs of shared memory.
__device__ inline void put(float4 (*slabs)[8][8], Place at, const Four& rows) {
#pragma unroll
    for (u32 i = 0; i < 4; i++) slabs[i][at.row][at.column ^ at.row] = rows.v[i];
}

// sum[i][j] += (row row + 8i) · (column column + 8j) over the 32 channels in the panel.
__device__ inline void add_dots(Four& sum, const Tiles& tiles, Place at) {
#pragma unroll 2
    for (u32 c = 0; c < EIGHT; c++) {
        const u32 b = c ^ at.column;
        const float4 b0 = tiles.panel[4][at.column][b];
        const float4 b1 = tiles.panel[5][at.column][b];
        const float4 b2 = tiles.panel[6][at.column][b];
        const float4 b3 = tiles.panel[7][at.column][b];
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const float4 a = tiles.panel[i][at.row][c ^ at.row];
            sum.v[i].x = add_dot(sum.v[i].x, a, b0);
            sum.v[i].y = add_dot(sum.v[i].y, a, b1);
            sum.v[i].z = add_dot(sum.v[i].z, a, b2);
            sum.v[i].w = add_dot(sum.v[i].w, a, b3);
        }
    }
}

// sum + w · (four rows), the rows in order.
__device__ inline float4 add_four(float4 sum, float4 w, float4 m0, float4 m1, float4 m2, float4 m3) {
    sum = add_scaled_vector(sum, w.x, m0);
    sum = add_scaled_vector(sum, w.y, m1);
    sum = add_scaled_vector(sum, w.z, m2);
    return add_scaled_vector(sum, w.w, m3);
}

// sum += weights · (the chunk of 32 rows in the panel).
__device__ inline void add_weighted(Share& sum, const Tiles& tiles, Place at) {
#pragma unroll 2
    for (u32 r = 0; r < EIGHT; r++) {
        const u32 b = r ^ at.column;
        const auto& panel = tiles.panel;
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const float4 w = tiles.weights[i][at.row][r ^ at.row];
            sum.low.v[i] = add_four(sum.low.v[i], w, panel[0][r][b], panel[1][r][b], panel[2][r][b], panel[3][r][b]);
            sum.high.v[i] = add_four(sum.high.v[i], w, panel[4][r][b], panel[5][r][b], panel[6][r][b], panel[7][r][b]);
        }
    }
}

// Stores a thread's share of tile `strand.tile` of a result y[n, heads, w].
__device__ inline void store_share(float4* y, const Heads& p, const Strand& strand, u32 heads, Place at, const Share& share) {
    const u32 c = strand.chunk * CHUNK + at.column;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 t = strand.tile * TILE + at.row + EIGHT * i;
        const u32 first = offset_of(p, strand.window, t, strand.head, heads, c);
        if (exists(p, t, c)) y[first] = share.low.v[i];
        if (exists(p, t, c + EIGHT)) y[first + EIGHT] = share.high.v[i];
    }
}
