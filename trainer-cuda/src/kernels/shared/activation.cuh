// What activations are in memory: floats, or bf16 where ACTIVATIONS_BF16 is defined. Kernels compute in f32 either way:
// reading an `Act` gives a float, assigning a float rounds it.

#pragma once

#include "shared/mma.cuh"

#ifdef ACTIVATIONS_BF16

struct Act {
    unsigned short bits;

    // For the emulation, which compares signatures.
    static constexpr bool ACTIVATION = true;

    __device__ operator float() const { return __uint_as_float((u32)bits << 16); }

    __device__ Act& operator=(float x) {
        bits = (unsigned short)bf16_pair(x, 0.0f);
        return *this;
    }
};

// Four neighbours at a multiple of four.
__device__ inline float4 four_at(const Act* x) {
    const uint2 v = *(const uint2*)x;
    return make_float4(bf16_first(v.x), bf16_second(v.x), bf16_first(v.y), bf16_second(v.y));
}

// Four neighbours at a multiple of four.
__device__ inline void store_four(Act* y, float4 v) { *(uint2*)y = make_uint2(bf16_pair(v.x, v.y), bf16_pair(v.z, v.w)); }

// Two neighbours at a multiple of two.
__device__ inline float2 two_at(const Act* x) {
    const u32 v = *(const u32*)x;
    return make_float2(bf16_first(v), bf16_second(v));
}

// Two neighbours at a multiple of two.
__device__ inline void store_two(Act* y, float first, float second) { *(u32*)y = bf16_pair(first, second); }

#else

typedef float Act;

#endif

__device__ inline float4 four_at(const float* x) { return *(const float4*)x; }

__device__ inline void store_four(float* y, float4 v) { *(float4*)y = v; }

__device__ inline float2 two_at(const float* x) { return *(const float2*)x; }

__device__ inline void store_two(float* y, float first, float second) { *(float2*)y = make_float2(first, second); }
