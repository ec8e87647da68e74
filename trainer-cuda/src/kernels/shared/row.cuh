// Four neighbouring channels of a row of activations at a time: with one per thread too few bytes are on their way to keep a
// GPU's memory busy. Where rows are no multiple of four long, channels are read one by one; beyond a row's end they are zero.

#pragma once

#include "shared/activation.cuh"

// Channels c .. c + 4 of a row of d; c is a multiple of 4, below d.
template <class Entry> __device__ inline float4 row_four(const Entry* row, u32 c, u32 d) {
    if (d % 4 == 0) return four_at(row + c);
    const auto entry = [&](u32 c) { return c < d ? (float)row[c] : 0.0f; };
    return make_float4(entry(c), entry(c + 1), entry(c + 2), entry(c + 3));
}

template <class Entry> __device__ inline void store_row_four(Entry* row, u32 c, u32 d, float4 v) {
    if (d % 4 == 0) return store_four(row + c, v);
    row[c] = v.x;
    if (c + 1 < d) row[c + 1] = v.y;
    if (c + 2 < d) row[c + 2] = v.z;
    if (c + 3 < d) row[c + 3] = v.w;
}

// Channels c and c + 1 of a row of d; c is even, below d.
template <class Entry> __device__ inline float2 row_two(const Entry* row, u32 c, u32 d) {
    if (d % 2 == 0) return two_at(row + c);
    return make_float2(row[c], c + 1 < d ? (float)row[c + 1] : 0.0f);
}

template <class Entry> __device__ inline void store_row_two(Entry* row, u32 c, u32 d, float2 v) {
    if (d % 2 == 0) return store_two(row + c, v.x, v.y);
    row[c] = v.x;
    if (c + 1 < d) row[c + 1] = v.y;
}
