// Elementwise results of activations, eight neighbours per thread.

#pragma once

#include "shared/eights.cuh"

// This thread's first element.
__device__ inline u32 first_of_eight() { return 8 * (blockIdx.x * blockDim.x + threadIdx.x); }

template <bool WHOLE, class F> __device__ inline void map_eight(const Act* x, Act* y, u32 n, F f) {
    const u32 i = first_of_eight();
    const Eight v = eight_from<WHOLE>(x, i, n);
    store_eight<WHOLE>(y, i, n, eight_of([&](u32 k) { return f(v.v[k]); }));
}

template <bool WHOLE, class F> __device__ inline void map_eights(const Act* a, const Act* b, Act* y, u32 n, F f) {
    const u32 i = first_of_eight();
    const Eight p = eight_from<WHOLE>(a, i, n);
    const Eight q = eight_from<WHOLE>(b, i, n);
    store_eight<WHOLE>(y, i, n, eight_of([&](u32 k) { return f(p.v[k], q.v[k]); }));
}

// y[i] = f(x[i])
template <class F> __device__ inline void map_one(const Act* x, Act* y, u32 n, F f) {
    n % 8 == 0 ? map_eight<true>(x, y, n, f) : map_eight<false>(x, y, n, f);
}

// y[i] = f(a[i], b[i])
template <class F> __device__ inline void map_two(const Act* a, const Act* b, Act* y, u32 n, F f) {
    n % 8 == 0 ? map_eights<true>(a, b, y, n, f) : map_eights<false>(a, b, y, n, f);
}
