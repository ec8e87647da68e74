// Spans of rows, which a warp holds in registers: most rows are one. Of longer ones each span is read twice.

#pragma once

#include "shared/eights.cuh"
#include "shared/reduce.cuh"

// Channels that a warp holds, sixteen a lane.
const u32 SPAN = 512;

struct Span {
    Eight v[2];

    __device__ float dot_with(const Span& other) const { return dot(v[0], other.v[0]) + dot(v[1], other.v[1]); }
};

// The span of x at `at`, zeros from `end` on.
template <bool WHOLE, class Entry> __device__ inline Span span_from(const Entry* x, u32 at, u32 end) {
    const u32 own = at + threadIdx.x % WARP * 8;
    return {{eight_from<WHOLE>(x, own, end), eight_from<WHOLE>(x, own + SPAN / 2, end)}};
}

template <bool WHOLE> __device__ inline void store_span(Act* y, u32 at, u32 end, const Span& span) {
    const u32 own = at + threadIdx.x % WARP * 8;
    store_eight<WHOLE>(y, own, end, span.v[0]);
    store_eight<WHOLE>(y, own + SPAN / 2, end, span.v[1]);
}
