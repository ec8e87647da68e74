// attention_grad on tensor cores: (q[n,h,W], k[n,g,W], v[n,g,W], dy[n,h,W] of bf16, stats[n,h]) → dq[n,h,c], and →
// (dk[n,g,c], dv[n,g,c]) of f32; W is 32, 64 or 128, c ≤ W. Scores are formed again; no two blocks add to the same result,
// at the price of two products more than with shared sums: seven instead of five. For options that ask for it.
//
// attention_grad_queries_bf16: one block of 4 warps per 128 queries of a head (64 of a wide one) walks the keys up to the
// diagonal; dq stays in registers. attention_grad_keys_bf16: one block per as many keys of a key/value head walks the
// queries from the diagonal on, of every head of its group in turn; dk and dv stay in registers. Scores are transposed
// there: keys are rows. Both start with the tiles that take longest.
// attention_stats: (dy[n,h,c], y[n,h,c], lse[n,h]) → stats[n,h] = (lse·log₂e, Σ dy·y) of f32, half a warp per head of a token.

#include "shared/activation.cuh"
#include "shared/attention_bf16.cuh"
#include "shared/reduce.cuh"

extern "C" __global__ void __launch_bounds__(256)
attention_stats(const Act* dy, const Act* y, const float* lse, float2* stats, u32 items, u32 width) {
    const u32 LANES = WARP / 2;
    const u32 item = (blockIdx.x * blockDim.x + threadIdx.x) / LANES;
    const u32 lane = threadIdx.x % LANES;
    const bool exists = item < items;
    float sum = 0.0f;
    if (exists && width % 4 == 0) {
        for (u32 c = 4 * lane; c < width; c += 4 * LANES) {
            sum = add_dot(sum, four_at(dy + item * width + c), four_at(y + item * width + c));
        }
    } else if (exists) {
        for (u32 c = lane; c < width; c += LANES) sum += dy[item * width + c] * y[item * width + c];
    }
#pragma unroll
    for (u32 step = LANES / 2; step > 0; step /= 2) sum += __shfl_xor_sync(ALL_LANES, sum, step);
    if (exists && lane == 0) stats[item] = make_float2(lse[item] * LOG2_E, sum);
}

// Rows of a matrix that a product over rows takes at once.
const u32 DEPTH = 16;

// Keys to which a warp forms scores at once: registers for more would spill.
const u32 KEYS = 32;

template <u32 W>
__device__ inline void queries_grad(Stage<W, Cut<W>::STREAM> (&stages)[2], const u32* q, const uint4* k, const uint4* v, const u32* dy,
                                    const float2* stats, Act* dq, const TensorHeads& p) {
    const u32 M = Cut<W>::MATRICES;
    const Strand strand = strand_of_block(p, p.heads, true);
    const u32 kv_heads = p.heads / p.group;
    const u32 kv_head = strand.head / p.group;
    const u32 query = strand.tile * Cut<W>::ROWS + threadIdx.x / 32 * Cut<W>::WARP_ROWS;
    Rows<W> queries, slopes_of_y;
    queries.load(q, p, strand.window, query, strand.head, p.heads);
    slopes_of_y.load(dy, p, strand.window, query, strand.head, p.heads);
    float2 own[M][2];
#pragma unroll
    for (u32 i = 0; i < 2 * M; i++) {
        const u32 t = query + 8 * i + lane_group();
        own[i / 2][i % 2] =
            t < p.seq ? stats[row_of(p, strand.window, t, strand.head, p.heads)] : make_float2(0.0f, 0.0f);
    }
    Sums<W, Cut<W>::VECTORS> sums = {};
    const u32 end = min((strand.tile + 1) * Cut<W>::ROWS, p.seq);
    const u32 stream = (end + Cut<W>::STREAM - 1) / Cut<W>::STREAM;
    for (u32 i = 0; i <= stream; i++) {
        if (i > 0) {
            wait_for_copies<0>();
            __syncthreads();
        }
        if (i < stream) {
            auto& next = stages[i % 2];
            fetch<W, Cut<W>::STREAM>(next.first, k, p, strand.window, i * Cut<W>::STREAM, kv_head, kv_heads);
            fetch<W, Cut<W>::STREAM>(next.second, v, p, strand.window, i * Cut<W>::STREAM, kv_head, kv_heads);
            commit_copies();
        }
        if (i == 0) continue;
        const auto& stage = stages[(i - 1) % 2];
#pragma unroll 1
        for (u32 row = 0; row < Cut<W>::STREAM; row += KEYS) {
            const u32 key = (i - 1) * Cut<W>::STREAM + row;
            // Beyond the diagonal of all of this warp's queries.
            if (key >= query + Cut<W>::WARP_ROWS) break;
            Sums<W, KEYS / 8> s = products<W, KEYS / 8>(queries, stage.first, row);
            const Sums<W, KEYS / 8> dp = products<W, KEYS / 8>(slopes_of_y, stage.second, row);
#pragma unroll
            for (u32 m = 0; m < M; m++) slopes(s.v[m], dp.v[m], own[m], p.scale * LOG2_E, key, query + 16 * m);
#pragma unroll
            for (u32 n = 0; n < KEYS / 8; n += 2) {
                u32 weights[M][4];
#pragma unroll
                for (u32 m = 0; m < M; m++) operand_of(weights[m], s.v[m][n], s.v[m][n + 1]);
                add_weighted<W>(sums, weights, stage.first, row + 8 * n);
            }
        }
    }
    const float scale[2] = {p.scale, p.scale};
#pragma unroll
    for (u32 m = 0; m < M; m++) {
        store_rows<W>(dq, sums.v[m], scale, p, strand.window, query + 16 * m, strand.head, p.heads);
    }
}

// Queries of a stage.
template <u32 W> struct QueryCut {
    static constexpr u32 STREAM = W > 64 ? 16 : 32;
};

// Their two operands and their statistics.
template <u32 W> struct QueryStage {
    Stage<W, QueryCut<W>::STREAM> rows;
    alignas(16) float2 stats[QueryCut<W>::STREAM];
};

// Registers for a block's values beside its keys and both sums would spill.
template <u32 W> struct KeyTiles {
    uint4 values[Cut<W>::ROWS * Cut<W>::VECTORS];
    QueryStage<W> stages[2];
};

// Gradients of a warp's keys and values.
template <u32 W> struct KeySums {
    Sums<W, Cut<W>::VECTORS> dk, dv;
};

// What the 16 queries from `query` on, row `row` of a stage, add to the warp's keys from `key` on.
template <u32 W>
__device__ inline void add_queries(KeySums<W>& sums, const Rows<W>& keys, const SharedRows<W>& values, const QueryStage<W>& stage,
                                   u32 row, u32 query, u32 key, float factor) {
    const u32 M = Cut<W>::MATRICES;
    Sums<W, 2> s = products<W, 2>(keys, stage.rows.first, row);
    const float2* of_query = stage.stats + row;
    u32 weights[M][4];
#pragma unroll
    for (u32 m = 0; m < M; m++) weights_of_keys(weights[m], s.v[m][0], s.v[m][1], of_query, factor, key + 16 * m, query);
    add_weighted<W>(sums.dv, weights, stage.rows.second, row);
    const Sums<W, 2> dp = products<W, 2>(values, stage.rows.second, row);
#pragma unroll
    for (u32 m = 0; m < M; m++) slopes_of_keys(weights[m], dp.v[m][0], dp.v[m][1], of_query);
    add_weighted<W>(sums.dk, weights, stage.rows.first, row);
}

template <u32 W>
__device__ inline void keys_grad(KeyTiles<W>& tiles, const uint4* q, const u32* k, const uint4* v, const uint4* dy,
                                 const float2* stats, Act* dk, Act* dv, const TensorHeads& p) {
    const u32 STREAM = QueryCut<W>::STREAM;
    const u32 kv_heads = p.heads / p.group;
    const Strand strand = strand_of_block(p, kv_heads, false);
    const u32 key = strand.tile * Cut<W>::ROWS + threadIdx.x / 32 * Cut<W>::WARP_ROWS;
    Rows<W> keys;
    keys.load(k, p, strand.window, key, strand.head, kv_heads);
    // Lands with the first stage.
    fetch<W, Cut<W>::ROWS>(tiles.values, v, p, strand.window, strand.tile * Cut<W>::ROWS, strand.head, kv_heads);
    const SharedRows<W> values = {tiles.values, threadIdx.x / 32 * Cut<W>::WARP_ROWS};
    KeySums<W> sums = {};
    // Queries of one head from the diagonal on, then those of the next.
    u32 head = strand.head * p.group;
    u32 t = strand.tile * Cut<W>::ROWS;
    const u32 heads_end = head + p.group;
    u32 used = t;
    for (u32 i = 0;; i++) {
        if (i > 0) {
            wait_for_copies<0>();
            __syncthreads();
        }
        const u32 first = used;
        used = t;
        const bool last = head == heads_end;
        if (!last) {
            QueryStage<W>& next = tiles.stages[i % 2];
            fetch<W, STREAM>(next.rows.first, q, p, strand.window, t, head, p.heads);
            fetch<W, STREAM>(next.rows.second, dy, p, strand.window, t, head, p.heads);
            if (threadIdx.x < STREAM) {
                const bool exists = t + threadIdx.x < p.seq;
                const u32 from = exists ? row_of(p, strand.window, t + threadIdx.x, head, p.heads) : 0;
                copy_async<8>(&next.stats[threadIdx.x], stats + from, exists);
            }
            commit_copies();
            t += STREAM;
            if (t >= p.seq) {
                t = strand.tile * Cut<W>::ROWS;
                head++;
            }
        }
        if (i == 0) continue;
#pragma unroll 1
        for (u32 row = 0; row < STREAM; row += DEPTH) {
            const u32 query = first + row;
            // All of these queries are before all of this warp's keys.
            if (query + DEPTH <= key) continue;
            add_queries<W>(sums, keys, values, tiles.stages[(i - 1) % 2], row, query, key, p.scale * LOG2_E);
        }
        if (last) break;
    }
    const float one[2] = {1.0f, 1.0f};
    const float scale[2] = {p.scale, p.scale};
#pragma unroll
    for (u32 m = 0; m < Cut<W>::MATRICES; m++) {
        store_rows<W>(dv, sums.dv.v[m], one, p, strand.window, key + 16 * m, strand.head, kv_heads);
        store_rows<W>(dk, sums.dk.v[m], scale, p, strand.window, key + 16 * m, strand.head, kv_heads);
    }
}

extern "C" __global__ void __launch_bounds__(128)
attention_grad_queries_bf16_32(const u32* q, const uint4* k, const uint4* v, const u32* dy, const float2* stats, Act* dq,
                               TensorHeads p) {
    __shared__ Stage<32, Cut<32>::STREAM> stages[2];
    queries_grad<32>(stages, q, k, v, dy, stats, dq, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_grad_queries_bf16_64(const u32* q, const uint4* k, const uint4* v, const u32* dy, const float2* stats, Act* dq,
                               TensorHeads p) {
    __shared__ Stage<64, Cut<64>::STREAM> stages[2];
    queries_grad<64>(stages, q, k, v, dy, stats, dq, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_grad_queries_bf16_128(const u32* q, const uint4* k, const uint4* v, const u32* dy, const float2* stats, Act* dq,
                                TensorHeads p) {
    __shared__ Stage<128, Cut<128>::STREAM> stages[2];
    queries_grad<128>(stages, q, k, v, dy, stats, dq, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_grad_keys_bf16_32(const uint4* q, const u32* k, const uint4* v, const uint4* dy, const float2* stats, Act* dk,
                            Act* dv, TensorHeads p) {
    __shared__ KeyTiles<32> tiles;
    keys_grad<32>(tiles, q, k, v, dy, stats, dk, dv, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_grad_keys_bf16_64(const uint4* q, const u32* k, const uint4* v, const uint4* dy, const float2* stats, Act* dk,
                            Act* dv, TensorHeads p) {
    __shared__ KeyTiles<64> tiles;
    keys_grad<64>(tiles, q, k, v, dy, stats, dk, dv, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_grad_keys_bf16_128(const uint4* q, const u32* k, const uint4* v, const uint4* dy, const float2* stats, Act* dk,
                             Act* dv, TensorHeads p) {
    __shared__ KeyTiles<128> tiles;
    keys_grad<128>(tiles, q, k, v, dy, stats, dk, dv, p);
}
