// attention_grad on Hopper's tensor cores: (q[n,h,64], k[n,g,64], v[n,g,64], dy[n,h,64] of bf16, stats[n,h] of attention_stats) →
// dq[n,h,c], and → (dk[n,g,c], dv[n,g,c]); c ≤ 64. For options that ask for bf16.
//
// As in attention_grad_bf16, scores are formed again on either side and no two blocks add to the same result. A block is one
// warpgroup with 64 rows: attention_grad_queries_wgmma of queries, which walks the keys up to the diagonal;
// attention_grad_keys_wgmma of keys, which walks the queries from the diagonal on, of every head of its group in turn; there the
// last products of a stage go on while the next stage's scores are formed. Both start with the tiles that take longest.

#include "shared/attention_wgmma.cuh"

extern "C" __global__ void __launch_bounds__(128, 3)
attention_grad_queries_wgmma(const u32* q, const uint4* k, const uint4* v, const u32* dy, const float2* stats, Act* dq,
                             TensorHeads p) {
    __shared__ Tiles stages[2];
    const Strand strand = strand_of_block(p, p.heads, true);
    const u32 kv_heads = p.heads / p.group;
    const u32 kv_head = strand.head / p.group;
    const u32 query = strand.tile * TILE_ROWS + threadIdx.x / 32 * 16;
    fetch_tiles<1>(stages[0], k, v, p, strand.window, 0, kv_head, kv_heads);
    Rows<64, 1> queries, slopes_of_y;
    queries.load(q, p, strand.window, query, strand.head, p.heads);
    slopes_of_y.load(dy, p, strand.window, query, strand.head, p.heads);
    float2 own[2];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        const u32 t = query + 8 * half + lane_group();
        own[half] = t < p.seq ? stats[row_of(p, strand.window, t, strand.head, p.heads)] : make_float2(0.0f, 0.0f);
    }
    WarpgroupSums sums;
    clear(sums);
    for (u32 i = 0; i <= strand.tile; i++) {
        const u32 key = i * TILE_ROWS;
        const Tiles& stage = stages[i % 2];
        publish_copies();
        // Of the stage before. Registers for its slopes beside this one's scores would leave room for two blocks instead of three.
        wait_for_products<0>();
        hold(sums);
        WarpgroupSums s, dp;
        begin_products();
        multiply_channels(s, queries.v[0], tile_descriptor(stage.first));
        multiply_channels(dp, slopes_of_y.v[0], tile_descriptor(stage.second));
        end_products();
        // Nobody reads the other stage any more.
        __syncthreads();
        if (i < strand.tile) {
            fetch_tiles<1>(stages[(i + 1) % 2], k, v, p, strand.window, key + TILE_ROWS, kv_head, kv_heads);
        }
        wait_for_products<0>();
        hold(s);
        hold(dp);
        slopes(s, dp, own, p.scale * LOG2_E, key, query);
        u32 weights[4][4];
#pragma unroll
        for (u32 step = 0; step < 4; step++) operand_of(weights[step], s[2 * step], s[2 * step + 1]);
        begin_products();
        add_rows(sums, weights, tile_descriptor(stage.first));
        end_products();
    }
    wait_for_products<0>();
    hold(sums);
    const float scale[2] = {p.scale, p.scale};
    store_rows<64>(dq, sums, scale, p, strand.window, query, strand.head, p.heads);
}

struct QueryTiles {
    Tiles rows;
    alignas(16) float2 stats[TILE_ROWS];
};

// Starts the copies of 64 queries of a head, and of what goes with them.
__device__ inline void fetch_queries(QueryTiles& tiles, const uint4* q, const uint4* dy, const float2* stats, const TensorHeads& p,
                                     u32 window, u32 t, u32 head) {
    if (threadIdx.x < TILE_ROWS) {
        const bool exists = t + threadIdx.x < p.seq;
        const u32 from = exists ? row_of(p, window, t + threadIdx.x, head, p.heads) : 0;
        copy_async<8>(&tiles.stats[threadIdx.x], stats + from, exists);
    }
    fetch_tiles<1>(tiles.rows, q, dy, p, window, t, head, p.heads);
}

extern "C" __global__ void __launch_bounds__(128, 2)
attention_grad_keys_wgmma(const uint4* q, const u32* k, const u32* v, const uint4* dy, const float2* stats, Act* dk, Act* dv,
                          TensorHeads p) {
    __shared__ QueryTiles stages[2];
    const u32 kv_heads = p.heads / p.group;
    const Strand strand = strand_of_block(p, kv_heads, false);
    const u32 begin = strand.tile * TILE_ROWS;
    const u32 key = begin + threadIdx.x / 32 * 16;
    // Queries of one head from the diagonal on, then those of the next: what is fetched.
    u32 head = strand.head * p.group;
    const u32 heads_end = head + p.group;
    u32 t = begin;
    fetch_queries(stages[0], q, dy, stats, p, strand.window, t, head);
    Rows<64, 1> keys, values;
    keys.load(k, p, strand.window, key, strand.head, kv_heads);
    values.load(v, p, strand.window, key, strand.head, kv_heads);
    WarpgroupSums sums_of_k, sums_of_v;
    clear(sums_of_k);
    clear(sums_of_v);
    for (u32 i = 0; head < heads_end; i++) {
        const u32 query = t;
        t += TILE_ROWS;
        if (t >= p.seq) {
            t = begin;
            head++;
        }
        const QueryTiles& stage = stages[i % 2];
        const u64 queries = tile_descriptor(stage.rows.first);
        const u64 slopes_of_y = tile_descriptor(stage.rows.second);
        publish_copies();
        WarpgroupSums s, dp;
        begin_products();
        multiply_channels(s, keys.v[0], queries);
        end_products();
        multiply_channels(dp, values.v[0], slopes_of_y);
        end_products();
        // All but the slopes: this stage's scores, and the sums of the stage before.
        wait_for_products<1>();
        hold(s);
        // Nobody reads the other stage any more.
        __syncthreads();
        if (head < heads_end) fetch_queries(stages[(i + 1) % 2], q, dy, stats, p, strand.window, t, head);
        u32 weights[4][4], slopes[4][4];
#pragma unroll
        for (u32 step = 0; step < 4; step++) {
            weights_of_keys(weights[step], s[2 * step], s[2 * step + 1], stage.stats + 16 * step, p.scale * LOG2_E, key,
                            query + 16 * step);
        }
        wait_for_products<0>();
        hold(dp);
#pragma unroll
        for (u32 step = 0; step < 4; step++) {
#pragma unroll
            for (u32 word = 0; word < 4; word++) slopes[step][word] = weights[step][word];
            slopes_of_keys(slopes[step], dp[2 * step], dp[2 * step + 1], stage.stats + 16 * step);
        }
        begin_products();
        add_rows(sums_of_v, weights, slopes_of_y);
        add_rows(sums_of_k, slopes, queries);
        end_products();
    }
    wait_for_products<0>();
    hold(sums_of_v);
    hold(sums_of_k);
    const float one[2] = {1.0f, 1.0f};
    const float scale[2] = {p.scale, p.scale};
    store_rows<64>(dv, sums_of_v, one, p, strand.window, key, strand.head, kv_heads);
    store_rows<64>(dk, sums_of_k, scale, p, strand.window, key, strand.head, kv_heads);
}
