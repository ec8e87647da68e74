// What the kernels of head_cross_entropy share: scalars and the softcap.

#pragma once

#include "shared/vector.cuh"

// Scalars of both stages with logits; the host passes them as so many words.
struct Head {
    u32 rows, cols, depth;  // rows of the chunk, v, d
    u32 tiles;              // tiles along the vocabulary
    u32 first_row;          // of the chunk
    u32 bits, row_words;    // of a packed embedding
    float cap;
    static constexpr const char* LETTERS = "uuuuuuuf";
};

const float LOWEST = -3.0e38f;

__device__ inline float squash(float z, float cap) { return cap * tanhf(z / cap); }

// dz of a logit with its row's lse and dnll.
__device__ inline float slope_of(float logit, float lse, float dnll, bool is_target, float cap) {
    const float share = logit / cap;
    return (expf(logit - lse) - (is_target ? 1.0f : 0.0f)) * dnll * (1.0f - share * share);
}
