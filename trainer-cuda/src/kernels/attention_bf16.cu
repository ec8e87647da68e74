// attention on tensor cores: (q[n,h,W], k[n,g,W], v[n,g,W] of bf16) → (y[n,h,c], lse[n,h] of f32), causal inside windows
// of seq tokens; W is 32, 64 or 128, c ≤ W. For options that ask for it.
//
// One block of 4 warps per 128 queries of a head (64 of a wide one). It walks the keys up to the diagonal; scores, weights
// and sums of a query never leave the registers of the four lanes that own its row. The largest score of a query so far
// is kept, and what was summed is rescaled when it grows. Weights are rounded to bf16 for their product with the values,
// their sum is not. The last tiles of a window take longest and start first.

#include "shared/attention_bf16.cuh"

// What a lane knows of its rows, the upper and the lower of each matrix; `total` is of the lane's own columns.
template <u32 W> struct Softmax {
    float largest[Cut<W>::MATRICES][2];
    float total[Cut<W>::MATRICES][2];
};

// Masks keys after their query: `key` and `query` are the first of the warp's scores.
template <u32 W, u32 N> __device__ inline void mask(Sums<W, N>& s, u32 key, u32 query) {
#pragma unroll
    for (u32 m = 0; m < Cut<W>::MATRICES; m++) {
#pragma unroll
        for (u32 n = 0; n < N; n++) {
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                const u32 own_key = key + 8 * n + 2 * lane_member() + i % 2;
                const u32 own_query = query + 16 * m + lane_group() + i / 2 * 8;
                if (own_key > own_query) s.v[m][n][i] = MASKED;
            }
        }
    }
}

// Largest of a row's entries over the four lanes that own it.
__device__ inline float largest_of_four(float x) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
    return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__device__ inline float sum_of_four(float x) {
    x += __shfl_xor_sync(0xffffffffu, x, 1);
    return x + __shfl_xor_sync(0xffffffffu, x, 2);
}

// Scores become weights, e^(scale·(s - largest)) with `factor` = scale·log₂e; earlier sums are rescaled to the new largest.
template <u32 W, u32 N>
__device__ inline void weigh(Sums<W, N>& s, Sums<W, Cut<W>::VECTORS>& sums, Softmax<W>& softmax, float factor) {
#pragma unroll
    for (u32 m = 0; m < Cut<W>::MATRICES; m++) {
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            float largest = softmax.largest[m][half];
#pragma unroll
            for (u32 n = 0; n < N; n++) largest = fmaxf(largest, fmaxf(s.v[m][n][2 * half], s.v[m][n][2 * half + 1]));
            largest = largest_of_four(largest);
            const float shrink = power_of_two((softmax.largest[m][half] - largest) * factor);
            const float shift = largest * factor;
            softmax.largest[m][half] = largest;
            float total = softmax.total[m][half] * shrink;
#pragma unroll
            for (u32 n = 0; n < N; n++) {
#pragma unroll
                for (u32 i = 2 * half; i < 2 * half + 2; i++) {
                    s.v[m][n][i] = power_of_two(s.v[m][n][i] * factor - shift);
                    total += s.v[m][n][i];
                }
            }
            softmax.total[m][half] = total;
#pragma unroll
            for (u32 n = 0; n < Cut<W>::VECTORS; n++) {
                sums.v[m][n][2 * half] *= shrink;
                sums.v[m][n][2 * half + 1] *= shrink;
            }
        }
    }
}

template <u32 W>
__device__ inline void attend(Stage<W, Cut<W>::STREAM> (&stages)[2], const u32* q, const uint4* k, const uint4* v, Act* y, float* lse,
                              const TensorHeads& p) {
    const u32 M = Cut<W>::MATRICES;
    const u32 N = Cut<W>::STREAM / 8;
    const Strand strand = strand_of_block(p, p.tiles - 1 - blockIdx.x / p.strands, p.heads);
    const u32 kv_heads = p.heads / p.group;
    const u32 kv_head = strand.head / p.group;
    const u32 query = strand.tile * Cut<W>::ROWS + threadIdx.x / 32 * Cut<W>::WARP_ROWS;
    Rows<W> queries;
    queries.load(q, p, strand.window, query, strand.head, p.heads);
    Softmax<W> softmax;
    for (u32 i = 0; i < 2 * M; i++) {
        softmax.largest[i / 2][i % 2] = MASKED;
        softmax.total[i / 2][i % 2] = 0.0f;
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
        const u32 key = (i - 1) * Cut<W>::STREAM;
        // Beyond the diagonal of all of this warp's queries.
        if (key >= query + Cut<W>::WARP_ROWS) continue;
        Sums<W, N> s = products<W, N>(queries, stage.first, 0);
        if (key + Cut<W>::STREAM - 1 > query) mask<W, N>(s, key, query);
        weigh<W, N>(s, sums, softmax, p.scale * LOG2_E);
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
            const float total = sum_of_four(softmax.total[m][half]);
            share[half] = 1.0f / total;
            const u32 t = query + 16 * m + 8 * half + lane_group();
            if (lane_member() == 0 && t < p.seq) {
                lse[row_of(p, strand.window, t, strand.head, p.heads)] = softmax.largest[m][half] * p.scale + logf(total);
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
