// Functions that keep full relative precision at every argument.

#pragma once

#include "shared/vector.cuh"

// (σ(x), 1-σ(x)) by e^(-|x|), which cannot overflow; neither is formed by a subtraction.
__device__ inline float2 sigmoid(float x) {
    const float t = expf(-fabsf(x));
    const float large = 1.0f / (1.0f + t);
    const float small_part = t * large;
    return x >= 0.0f ? make_float2(large, small_part) : make_float2(small_part, large);
}

// 1 - tanh² x = 4t/(1+t)², t = e^(-2|x|): without the cancellation of the left side.
__device__ inline float tanh_slope(float x) {
    const float t = expf(-2.0f * fabsf(x));
    const float rest = 1.0f + t;
    return 4.0f * t / (rest * rest);
}
