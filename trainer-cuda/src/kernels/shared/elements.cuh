// Elementwise results of activations, four neighbours per thread: with one of bf16 per thread too few bytes are on their way
// to keep a GPU's memory busy. All vectors start at multiples of four; what n leaves over is done one by one.

#pragma once

#include "shared/activation.cuh"

// This thread's first element.
__device__ inline u32 first_of_four() { return 4 * (blockIdx.x * blockDim.x + threadIdx.x); }

// y[i] = f(x[i])
template <class F> __device__ inline void map_one(const Act* x, Act* y, u32 n, F f) {
    const u32 i = first_of_four();
    if (i + 4 <= n) {
        const float4 v = four_at(x + i);
        store_four(y + i, make_float4(f(v.x), f(v.y), f(v.z), f(v.w)));
    } else {
        for (u32 k = i; k < n; k++) y[k] = f(x[k]);
    }
}

// y[i] = f(a[i], b[i])
template <class F> __device__ inline void map_two(const Act* a, const Act* b, Act* y, u32 n, F f) {
    const u32 i = first_of_four();
    if (i + 4 <= n) {
        const float4 p = four_at(a + i);
        const float4 q = four_at(b + i);
        store_four(y + i, make_float4(f(p.x, q.x), f(p.y, q.y), f(p.z, q.z), f(p.w, q.w)));
    } else {
        for (u32 k = i; k < n; k++) y[k] = f(a[k], b[k]);
    }
}

// The channel behind `c` of `d`.
__device__ inline u32 next_channel(u32 c, u32 d) { return c + 1 == d ? 0 : c + 1; }

// y[i] = f(a[i], b[i], i mod d)
template <class F>
__device__ inline void map_two_by_channel(const Act* a, const Act* b, Act* y, u32 n, u32 d, F f) {
    const u32 i = first_of_four();
    const u32 c0 = i % d;
    if (i + 4 <= n) {
        const u32 c1 = next_channel(c0, d);
        const u32 c2 = next_channel(c1, d);
        const u32 c3 = next_channel(c2, d);
        const float4 p = four_at(a + i);
        const float4 q = four_at(b + i);
        store_four(y + i, make_float4(f(p.x, q.x, c0), f(p.y, q.y, c1), f(p.z, q.z, c2), f(p.w, q.w, c3)));
    } else {
        u32 c = c0;
        for (u32 k = i; k < n; k++) {
            y[k] = f(a[k], b[k], c);
            c = next_channel(c, d);
        }
    }
}
