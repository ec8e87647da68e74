// attention on Hopper's tensor cores: (q[n,h,64], k[n,g,64], v[n,g,64] of bf16) → (y[n,h,c], lse[n,h] of f32), causal inside
// windows of seq tokens; c ≤ 64. For options that ask for bf16.
//
// One block of 2 warpgroups per 128 queries of a head, 64 for each, which walk the keys up to the diagonal. What a lane does
// with its scores is what attention_bf16 does. The products of a stage's weights with its values go on while the next
// stage's scores are formed; two blocks share a multiprocessor, so that one's exponentials overlap with the other's products.
// The last tiles of a window take longest and start first.

#include "shared/attention_wgmma.cuh"

const u32 WARPGROUPS = 2;

extern "C" __global__ void __launch_bounds__(256, 2)
attention_wgmma(const u32* q, const uint4* k, const uint4* v, Act* y, float* lse, TensorHeads p) {
    __shared__ Tiles stages[2];
    const Strand strand = strand_of_block(p, p.heads, true);
    const u32 kv_heads = p.heads / p.group;
    const u32 kv_head = strand.head / p.group;
    const u32 begin = strand.tile * WARPGROUPS * TILE_ROWS;
    const u32 first = begin + threadIdx.x / 128 * TILE_ROWS;
    const u32 query = first + threadIdx.x / 32 % 4 * 16;
    Rows<64, 1> queries;
    queries.load(q, p, strand.window, query, strand.head, p.heads);
    Softmax softmax;
    WarpgroupSums sums;
    clear(sums);
    const u32 stream = (min(begin + WARPGROUPS * TILE_ROWS, p.seq) + TILE_ROWS - 1) / TILE_ROWS;
    fetch_tiles<WARPGROUPS>(stages[0], k, v, p, strand.window, 0, kv_head, kv_heads);
    for (u32 i = 0; i < stream; i++) {
        const u32 key = i * TILE_ROWS;
        // Not beyond the diagonal of all of this warpgroup's queries.
        const bool counts = key <= first;
        publish_copies();
        WarpgroupSums s;
        if (counts) {
            begin_products();
            multiply_channels(s, queries.v[0], tile_descriptor(stages[i % 2].first));
            end_products();
        }
        wait_for_products<0>();
        hold(sums);
        hold(s);
        // Nobody reads the other stage any more.
        __syncthreads();
        if (i + 1 < stream) {
            fetch_tiles<WARPGROUPS>(stages[(i + 1) % 2], k, v, p, strand.window, key + TILE_ROWS, kv_head, kv_heads);
        }
        if (!counts) continue;
        if (key + TILE_ROWS - 1 > query) mask(s, key, query);
        weigh(s, sums, softmax, p.scale * LOG2_E);
        u32 weights[4][4];
#pragma unroll
        for (u32 step = 0; step < 4; step++) operand_of(weights[step], s[2 * step], s[2 * step + 1]);
        hold(sums);
        begin_products();
        add_rows(sums, weights, tile_descriptor(stages[i % 2].second));
        end_products();
    }
    wait_for_products<0>();
    hold(sums);
    float share[2];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        const float total = sum_of_four(softmax.total[half]);
        share[half] = 1.0f / total;
        const u32 t = query + 8 * half + lane_group();
        if (lane_member() == 0 && t < p.seq) {
            lse[row_of(p, strand.window, t, strand.head, p.heads)] = softmax.largest[half] * p.scale + logf(total);
        }
    }
    store_rows<64>(y, sums, share, p, strand.window, query, strand.head, p.heads);
}
