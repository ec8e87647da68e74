// attention_grad: (q[n,h,w], k[n,g,w], v[n,g,w], dy[n,h,w], lse[n,h], delta[n,h]) → dq[n,h,w], and → (dk[n,g,w],
// dv[n,g,w]); w in vectors of 4 channels. Scores are formed again from lse, tile by tile; no two blocks add to the same
// result.
//
// attention_grad_queries: one block per 32 queries of a head walks the keys up to the diagonal, dq in registers.
// attention_grad_keys: one block per 32 keys of a key/value head walks the queries from the diagonal on, of every head
// of its group in turn, dk and dv in registers. Both start with the tiles that take longest.
// attention_delta: (dy[n,h,w], y[n,h,w]) → delta[n,h] = Σ dy·y, one warp per head of a token.

#include "shared/attention_tile.cuh"
#include "shared/reduce.cuh"

extern "C" __global__ void __launch_bounds__(256)
attention_delta(const float4* dy, const float4* y, float* delta, u32 items, u32 width) {
    const u32 item = warp_index();
    if (item >= items) return;
    float sum = 0.0f;
    for (u32 c = threadIdx.x % WARP; c < width; c += WARP) sum = add_dot(sum, dy[item * width + c], y[item * width + c]);
    const float total = warp_sum(sum);
    if (threadIdx.x % WARP == 0) delta[item] = total;
}

// What every block reads.
struct Operands {
    const float4 *q, *k, *v, *dy;
    const float *lse, *delta;
};

// lse and delta of the queries t + 8i; zeros beyond the window.
struct Queries {
    float lse[4], delta[4];
};

__device__ inline Queries queries_at(const Operands& x, const Heads& p, u32 window, u32 t, u32 head) {
    Queries queries = {};
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 own = t + EIGHT * i;
        const u32 at = (window * p.seq + own) * p.heads + head;
        if (own < p.seq) queries.lse[i] = x.lse[at];
        if (own < p.seq) queries.delta[i] = x.delta[at];
    }
    return queries;
}

// A thread's q·k and dy·v of a tile.
struct Dots {
    Four s, dp;
};

// Of the rows `row_t` on of `row_*` heads with the rows `col_t` on of `col_*` heads. Returns after a barrier.
__device__ inline void add_products(Four& sum, Tiles& tiles, const Heads& p, u32 window, Place at, const float4* rows,
                                    u32 row_t, u32 row_head, u32 row_heads, const float4* cols, u32 col_t, u32 col_head,
                                    u32 col_heads) {
    for (u32 c = at.column; c < p.width + at.column; c += EIGHT) {
        put(tiles.panel, at, rows_of(rows, p, window, row_t, row_head, row_heads, c));
        put(tiles.panel + 4, at, rows_of(cols, p, window, col_t, col_head, col_heads, c));
        __syncthreads();
        add_dots(sum, tiles, at);
        __syncthreads();
    }
}

// e^(s·scale - lse), 0 where masked.
__device__ inline float probability(float s, float scale, float lse, bool masked) {
    return masked ? 0.0f : expf(s * scale - lse);
}

// Gradient of a score.
__device__ inline float slope(float p, float dp, float delta, float scale) { return p * (dp - delta) * scale; }

extern "C" __global__ void __launch_bounds__(64)
attention_grad_queries(const float4* q, const float4* k, const float4* v, const float4* dy, const float* lse,
                       const float* delta, float4* dq, Heads p) {
    __shared__ Tiles tiles;
    const Operands x = {q, k, v, dy, lse, delta};
    const Place at = place_of_thread();
    const Strand strand = strand_of_block(p, p.tiles - 1 - blockIdx.x / p.strands, p.heads);
    const u32 kv_heads = p.heads / p.group;
    const u32 kv_head = strand.head / p.group;
    const u32 t = strand.tile * TILE + at.row;
    const Queries own = queries_at(x, p, strand.window, t, strand.head);
    Share sum = {};
    for (u32 keys = 0; keys <= strand.tile; keys++) {
        const u32 key = keys * TILE + at.row;
        Dots dots = {};
        add_products(dots.s, tiles, p, strand.window, at, q, t, strand.head, p.heads, k, key, kv_head, kv_heads);
        add_products(dots.dp, tiles, p, strand.window, at, dy, t, strand.head, p.heads, v, key, kv_head, kv_heads);
        const bool diagonal = keys == strand.tile;
        Four ds;
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const u32 row = at.row + EIGHT * i;
            const float4 s = dots.s.v[i];
            const float4 dp = dots.dp.v[i];
            const float l = own.lse[i];
            const float d = own.delta[i];
            ds.v[i] = make_float4(
                slope(probability(s.x, p.scale, l, diagonal && at.column > row), dp.x, d, p.scale),
                slope(probability(s.y, p.scale, l, diagonal && at.column + 8 > row), dp.y, d, p.scale),
                slope(probability(s.z, p.scale, l, diagonal && at.column + 16 > row), dp.z, d, p.scale),
                slope(probability(s.w, p.scale, l, diagonal && at.column + 24 > row), dp.w, d, p.scale));
        }
        const u32 c = strand.chunk * CHUNK + at.column;
        put(tiles.weights, at, ds);
        put(tiles.panel, at, rows_of(k, p, strand.window, key, kv_head, kv_heads, c));
        put(tiles.panel + 4, at, rows_of(k, p, strand.window, key, kv_head, kv_heads, c + EIGHT));
        __syncthreads();
        add_weighted(sum, tiles, at);
        __syncthreads();
    }
    store_share(dq, p, strand, p.heads, at, sum);
}

// sum += weights · (a chunk of the rows of x[n, h, w] from token t on). Returns after a barrier.
__device__ inline void add_rows(Share& sum, Tiles& tiles, const Heads& p, const Strand& strand, Place at,
                                const Four& weights, const float4* x, u32 t, u32 head) {
    const u32 c = strand.chunk * CHUNK + at.column;
    put(tiles.weights, at, weights);
    put(tiles.panel, at, rows_of(x, p, strand.window, t, head, p.heads, c));
    put(tiles.panel + 4, at, rows_of(x, p, strand.window, t, head, p.heads, c + EIGHT));
    __syncthreads();
    add_weighted(sum, tiles, at);
    __syncthreads();
}

// Gradients of a thread's keys and values.
struct KeyShares {
    Share dk, dv;
};

// What the queries of tile `queries` of one head add.
__device__ inline void add_queries(KeyShares& sum, Tiles& tiles, const Operands& x, const Heads& p, const Strand& strand,
                                   u32 queries, u32 head, Place at) {
    const u32 kv_heads = p.heads / p.group;
    const u32 key = strand.tile * TILE + at.row;
    const u32 t = queries * TILE + at.row;
    Dots dots = {};
    add_products(dots.s, tiles, p, strand.window, at, x.k, key, strand.head, kv_heads, x.q, t, head, p.heads);
    add_products(dots.dp, tiles, p, strand.window, at, x.v, key, strand.head, kv_heads, x.dy, t, head, p.heads);
    const Queries theirs = queries_at(x, p, strand.window, queries * TILE + at.column, head);
    const bool diagonal = queries == strand.tile;
    Four weights, ds;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        // Queries before their key are masked.
        const u32 row = at.row + EIGHT * i;
        const float4 s = dots.s.v[i];
        const float4 dp = dots.dp.v[i];
        const float4 w = make_float4(probability(s.x, p.scale, theirs.lse[0], diagonal && at.column < row),
                                     probability(s.y, p.scale, theirs.lse[1], diagonal && at.column + 8 < row),
                                     probability(s.z, p.scale, theirs.lse[2], diagonal && at.column + 16 < row),
                                     probability(s.w, p.scale, theirs.lse[3], diagonal && at.column + 24 < row));
        weights.v[i] = w;
        ds.v[i] = make_float4(
            slope(w.x, dp.x, theirs.delta[0], p.scale), slope(w.y, dp.y, theirs.delta[1], p.scale),
            slope(w.z, dp.z, theirs.delta[2], p.scale), slope(w.w, dp.w, theirs.delta[3], p.scale));
    }
    add_rows(sum.dv, tiles, p, strand, at, weights, x.dy, t, head);
    add_rows(sum.dk, tiles, p, strand, at, ds, x.q, t, head);
}

// The registers of two sums and their operands are worth more than further blocks on a core.
extern "C" __global__ void __launch_bounds__(64, 1)
attention_grad_keys(const float4* q, const float4* k, const float4* v, const float4* dy, const float* lse,
                    const float* delta, float4* dk, float4* dv, Heads p) {
    __shared__ Tiles tiles;
    const Operands x = {q, k, v, dy, lse, delta};
    const Place at = place_of_thread();
    const u32 kv_heads = p.heads / p.group;
    const Strand strand = strand_of_block(p, blockIdx.x / p.strands, kv_heads);
    KeyShares sum = {};
    for (u32 member = 0; member < p.group; member++) {
        for (u32 queries = strand.tile; queries < p.tiles; queries++) {
            add_queries(sum, tiles, x, p, strand, queries, strand.head * p.group + member, at);
        }
    }
    store_share(dk, p, strand, kv_heads, at, sum.dk);
    store_share(dv, p, strand, kv_heads, at, sum.dv);
}
