// Pieces of long vectors: what a block works on, eight elements per thread of 256.

#pragma once

#include "shared/eights.cuh"

const u32 PIECE = 2048;

// How the eights of a vector of n are read and written.
struct Form {
    u32 n;
    bool whole;

    template <class Entry> __device__ Eight load(const Entry* x, u32 i) const {
        return whole ? eight_from<true>(x, i, n) : eight_from<false>(x, i, n);
    }
    template <class Entry> __device__ void store(Entry* y, u32 i, const Eight& e) const {
        whole ? store_eight<true>(y, i, n, e) : store_eight<false>(y, i, n, e);
    }
};

// Calls use(form, i) for the first of this thread's eight elements of a piece of a vector of n; they may lie behind its end.
// Two calls, so that the compiler knows in each what `form.whole` is.
template <class Use> __device__ inline void own_eight(u32 piece, u32 n, Use use) {
    const u32 i = piece * PIECE + 8 * threadIdx.x;
    n % 8 == 0 ? use(Form{n, true}, i) : use(Form{n, false}, i);
}
