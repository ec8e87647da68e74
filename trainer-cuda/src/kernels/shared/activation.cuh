// What activations are in memory: floats, or bf16 where ACTIVATIONS_BF16 is defined. Kernels compute in f32 either way:
// reading an `Act` gives a float, assigning a float rounds it.

#pragma once

#include "shared/mma.cuh"

// Eight neighbours of a vector: 16 bytes of bf16, the widest access that a thread has.
struct Eight {
    float v[8];
};

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

// Eight neighbours at a multiple of eight.
__device__ inline Eight eight_at(const Act* x) {
    const uint4 p = *(const uint4*)x;
    return {{bf16_first(p.x), bf16_second(p.x), bf16_first(p.y), bf16_second(p.y), bf16_first(p.z), bf16_second(p.z),
             bf16_first(p.w), bf16_second(p.w)}};
}

// Eight neighbours at a multiple of eight.
__device__ inline void store_eight_at(Act* y, const Eight& e) {
    *(uint4*)y = make_uint4(bf16_pair(e.v[0], e.v[1]), bf16_pair(e.v[2], e.v[3]), bf16_pair(e.v[4], e.v[5]),
                            bf16_pair(e.v[6], e.v[7]));
}

// Two neighbours at a multiple of two.
__device__ inline void store_two(Act* y, float first, float second) { *(u32*)y = bf16_pair(first, second); }

#else

typedef float Act;

#endif

__device__ inline float4 four_at(const float* x) { return *(const float4*)x; }

__device__ inline void store_four(float* y, float4 v) { *(float4*)y = v; }

__device__ inline void store_two(float* y, float first, float second) { *(float2*)y = make_float2(first, second); }

__device__ inline Eight eight_at(const float* x) {
    const float4 a = four_at(x);
    const float4 b = four_at(x + 4);
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

__device__ inline void store_eight_at(float* y, const Eight& e) {
    store_four(y, make_float4(e.v[0], e.v[1], e.v[2], e.v[3]));
    store_four(y + 4, make_float4(e.v[4], e.v[5], e.v[6], e.v[7]));
}
