// attention on tensor cores: (q[n,h,W], k[n,g,W], v[n,g,W] of bf16) → (y[n,h,c], lse[n,h] of f32), causal inside windows
// of seq tokens; W is 32, 64 or 128, c ≤ W. For options that ask for it.
//
// One block of 4 warps per 128 queries of a head (64 of a wide one). It walks the keys up to the diagonal; scores, weights
// and sums of a query never leave the registers of the four lanes that own its row. The largest score of a query so far
// is kept, and what was summed is rescaled when it grows. Weights are rounded to bf16 for their product with the values,
// their sum is not. The last tiles of a window take longest and start first.

#include "shared/attention_bf16.cuh"

template <u32 W>
__device__ inline void attend(Stage<W, Cut<W>::STREAM> (&stages)[2], const u32* q, const uint4* k, const uint4* v, Act* y, float* lse,
                              const TensorHeads& p) {
    const u32 M = Cut<W>::MATRICES;
    const u32 N = Cut<W>::STREAM / 8;
    const Strand strand = strand_of_block(p, p.heads, true);
    const u32 kv_heads = p.heads / p.group;
    const u32 kv_head = strand.head / p.group;
    const u32 query = strand.tile * Cut<W>::ROWS + threadIdx.x / 32 * Cut<W>::WARP_ROWS;
    Rows<W> queries;
    queries.load(q, p, strand.window, query, strand.head, p.heads);
    Softmax softmax[M];
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
        const u32 key = (i - 1) * Cut<W>::STREAM;
        // Beyond the diagonal of all of this warp's queries.
        if (key >= query + Cut<W>::WARP_ROWS) continue;
        Sums<W, N> s = products<W, N>(queries, stage.first, 0);
#pragma unroll
        for (u32 m = 0; m < M; m++) {
            if (key + Cut<W>::STREAM - 1 > query) mask(s.v[m], key, query + 16 * m);
            weigh(s.v[m], sums.v[m], softmax[m], p.scale * LOG2_E);
        }
#pragma unroll
        for (u32 n = 0; n < N; n += 2) {
            u32 weights[M][4];
#pragma unroll
            for (u32 m = 0; m < M; m++) operand_of(weights[m], s.v[m][n], s.v[m][n + 1]);
            add_weighted<W>(sums, weights, stage.second, 8 * n);
        }
    }
#pragma unroll
    for (u32 m = 0; m < M; m++) {
        float share[2];
        for (u32 half = 0; half < 2; half++) {
            const float total = sum_of_four(softmax[m].total[half]);
            share[half] = 1.0f / total;
            const u32 t = query + 16 * m + 8 * half + lane_group();
            if (lane_member() == 0 && t < p.seq) {
                lse[row_of(p, strand.window, t, strand.head, p.heads)] = softmax[m].largest[half] * p.scale + logf(total);
            }
        }
        store_rows<W>(y, sums.v[m], share, p, strand.window, query + 16 * m, strand.head, p.heads);
    }
}

extern "C" __global__ void __launch_bounds__(128)
attention_bf16_32(const u32* q, const uint4* k, const uint4* v, Act* y, float* lse, TensorHeads p) {
    __shared__ Stage<32, Cut<32>::STREAM> stages[2];
    attend<32>(stages, q, k, v, y, lse, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_bf16_64(const u32* q, const uint4* k, const uint4* v, Act* y, float* lse, TensorHeads p) {
    __shared__ Stage<64, Cut<64>::STREAM> stages[2];
    attend<64>(stages, q, k, v, y, lse, p);
}

extern "C" __global__ void __launch_bounds__(128)
attention_bf16_128(const u32* q, const uint4* k, const uint4* v, Act* y, float* lse, TensorHeads p) {
    __shared__ Stage<128, Cut<128>::STREAM> stages[2];
    attend<128>(stages, q, k, v, y, lse, p);
}
