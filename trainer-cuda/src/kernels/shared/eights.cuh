// Eights, what a thread takes of a row at once: narrower accesses leave too few bytes on their way to keep a GPU's memory busy.
//
// Kernels come in two forms in one: WHOLE where rows are of whole eights, so that every access is one; else entries are read
// and written one by one. They part once and not at every access, since loads that stand behind branches wait for each other.

#pragma once

#include "shared/activation.cuh"

// f(0) .. f(7)
template <class F> __device__ inline Eight eight_of(F f) {
    Eight e;
#pragma unroll
    for (u32 k = 0; k < 8; k++) e.v[k] = f(k);
    return e;
}

// x[at] .. x[at + 7], zeros from `end` on.
template <bool WHOLE, class Entry> __device__ inline Eight eight_from(const Entry* x, u32 at, u32 end) {
    if (WHOLE) return at < end ? eight_at(x + at) : Eight{};
    return eight_of([&](u32 k) { return at + k < end ? (float)x[at + k] : 0.0f; });
}

// To y[at] .. y[at + 7], nothing from `end` on.
template <bool WHOLE, class Entry> __device__ inline void store_eight(Entry* y, u32 at, u32 end, const Eight& e) {
    if (WHOLE && at < end) store_eight_at(y + at, e);
#pragma unroll
    for (u32 k = 0; k < 8; k++) {
        if (!WHOLE && at + k < end) y[at + k] = e.v[k];
    }
}

__device__ inline Eight operator*(const Eight& a, const Eight& b) {
    return eight_of([&](u32 k) { return a.v[k] * b.v[k]; });
}

__device__ inline Eight operator*(const Eight& a, float b) {
    return eight_of([&](u32 k) { return a.v[k] * b; });
}

// sum + a·b
__device__ inline Eight add_products(const Eight& sum, const Eight& a, const Eight& b) {
    return eight_of([&](u32 k) { return sum.v[k] + a.v[k] * b.v[k]; });
}

// sum + a·b
__device__ inline Eight add_products(const Eight& sum, const Eight& a, float b) {
    return eight_of([&](u32 k) { return sum.v[k] + a.v[k] * b; });
}

// Σ a·b
__device__ inline float dot(const Eight& a, const Eight& b) {
    const Eight p = a * b;
    return ((p.v[0] + p.v[1]) + (p.v[2] + p.v[3])) + ((p.v[4] + p.v[5]) + (p.v[6] + p.v[7]));
}
