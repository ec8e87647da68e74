// Scores of attention as a warp holds them, 16 rows by N · 8 columns in the order of the instruction: what its lanes do with
// them, the same whoever formed them.

#pragma once

#include "shared/mma.cuh"
#include "shared/reduce.cuh"

const float LOG2_E = 1.44269504f;
// A score of nothing: below every score.
const float MASKED = -1e30f;

__device__ inline u32 lane_group() { return threadIdx.x % 32 / 4; }
__device__ inline u32 lane_member() { return threadIdx.x % 4; }

// Results of 16 columns as a left operand: what lies where is the same.
__device__ inline void operand_of(u32 (&a)[4], const float (&left)[4], const float (&right)[4]) {
    a[0] = bf16_pair(left[0], left[1]);
    a[1] = bf16_pair(left[2], left[3]);
    a[2] = bf16_pair(right[0], right[1]);
    a[3] = bf16_pair(right[2], right[3]);
}

// What a lane knows of its two rows; `total` is of the lane's own columns.
struct Softmax {
    float largest[2] = {MASKED, MASKED};
    float total[2] = {0.0f, 0.0f};
};

// Masks keys after their query: `key` and `query` are the first of the scores.
template <u32 N> __device__ inline void mask(float (&s)[N][4], u32 key, u32 query) {
#pragma unroll
    for (u32 n = 0; n < N; n++) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const u32 own_key = key + 8 * n + 2 * lane_member() + i % 2;
            const u32 own_query = query + lane_group() + i / 2 * 8;
            if (own_key > own_query) s[n][i] = MASKED;
        }
    }
}

// Scores become weights, e^(scale·(s - largest)) with `factor` = scale·log₂e; earlier sums are rescaled to the new largest.
template <u32 N, u32 V>
__device__ inline void weigh(float (&s)[N][4], float (&sums)[V][4], Softmax& softmax, float factor) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        float largest = softmax.largest[half];
#pragma unroll
        for (u32 n = 0; n < N; n++) largest = fmaxf(largest, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
        largest = largest_of_four(largest);
        const float shrink = power_of_two((softmax.largest[half] - largest) * factor);
        const float shift = largest * factor;
        softmax.largest[half] = largest;
        float total = softmax.total[half] * shrink;
#pragma unroll
        for (u32 n = 0; n < N; n++) {
#pragma unroll
            for (u32 i = 2 * half; i < 2 * half + 2; i++) {
                s[n][i] = power_of_two(s[n][i] * factor - shift);
                total += s[n][i];
            }
        }
        softmax.total[half] = total;
#pragma unroll
        for (u32 n = 0; n < V; n++) {
            sums[n][2 * half] *= shrink;
            sums[n][2 * half + 1] *= shrink;
        }
    }
}

// Scores of queries from `query` on for keys from `key` on become their slopes: `dp` are the slopes of the weights, `of_query` is
// (lse·log₂e, Σ dy·y) of the lane's two queries.
template <u32 N>
__device__ inline void slopes(float (&s)[N][4], const float (&dp)[N][4], const float2 (&of_query)[2], float factor, u32 key,
                              u32 query) {
#pragma unroll
    for (u32 n = 0; n < N; n++) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            s[n][i] = power_of_two(s[n][i] * factor - of_query[i / 2].x) * (dp[n][i] - of_query[i / 2].y);
        }
    }
    if (key + 8 * N - 1 <= query) return;
#pragma unroll
    for (u32 n = 0; n < N; n++) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            if (key + 8 * n + 2 * lane_member() + i % 2 > query + lane_group() + i / 2 * 8) s[n][i] = 0.0f;
        }
    }
}

// Statistics of the queries of a lane's columns among 8 from `of_query` on, which is at a multiple of 16 bytes: (lse·log₂e, Σ dy·y)
// of two.
__device__ inline float4 of_two_queries(const float2* of_query) { return *(const float4*)(of_query + 2 * lane_member()); }

// Transposed scores, of keys from `key` on for 16 queries from `query` on, as weights and left operand. `of_query` are
// the statistics of these queries.
__device__ inline void weights_of_keys(u32 (&weights)[4], float (&left)[4], float (&right)[4], const float2* of_query, float factor,
                                       u32 key, u32 query) {
#pragma unroll
    for (u32 n = 0; n < 2; n++) {
        float (&s)[4] = n == 0 ? left : right;
        const float4 two = of_two_queries(of_query + 8 * n);
#pragma unroll
        for (u32 i = 0; i < 4; i++) s[i] = power_of_two(s[i] * factor - (i % 2 == 0 ? two.x : two.z));
    }
    if (query < key + 15) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            const u32 own_key = key + lane_group() + i / 2 * 8;
            const u32 own_query = query + 2 * lane_member() + i % 2;
            if (own_key > own_query) left[i] = 0.0f;
            if (own_key > own_query + 8) right[i] = 0.0f;
        }
    }
    operand_of(weights, left, right);
}

// Those weights become slopes of the scores; the weights are kept as bf16 only, as registers for more would spill.
__device__ inline void slopes_of_keys(u32 (&weights)[4], const float (&left)[4], const float (&right)[4],
                                      const float2* of_query) {
#pragma unroll
    for (u32 n = 0; n < 2; n++) {
        const float (&dp)[4] = n == 0 ? left : right;
        const float4 two = of_two_queries(of_query + 8 * n);
#pragma unroll
        for (u32 half = 0; half < 2; half++) {
            u32& pair = weights[2 * n + half];
            pair = bf16_pair(bf16_first(pair) * (dp[2 * half] - two.y), bf16_second(pair) * (dp[2 * half + 1] - two.w));
        }
    }
}
