// Vectors of four floats, and the short names that kernels use.

#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#define NOT_A_NUMBER __uint_as_float(0x7fc00000u)

// Neither infinite nor NaN, for which every comparison fails.
__device__ inline bool finite(float x) { return fabsf(x) <= 3.402823466e38f; }

__device__ inline float4 splat(float x) { return make_float4(x, x, x, x); }

__device__ inline float4 operator+(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

__device__ inline float4 operator-(float4 a, float4 b) {
    return make_float4(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w);
}

__device__ inline float4 operator*(float4 a, float4 b) {
    return make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
}

__device__ inline float4 operator*(float4 a, float b) { return a * splat(b); }

// sum + a·b.
__device__ inline float4 add_scaled_vector(float4 sum, float a, float4 b) {
    return make_float4(sum.x + a * b.x, sum.y + a * b.y, sum.z + a * b.z, sum.w + a * b.w);
}

// sum + a·b over the four components, in order.
__device__ inline float add_dot(float sum, float4 a, float4 b) {
    return sum + a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}

__device__ inline float4 exp_of(float4 x) { return make_float4(expf(x.x), expf(x.y), expf(x.z), expf(x.w)); }

__device__ inline float4 max_of(float4 a, float4 b) {
    return make_float4(fmaxf(a.x, b.x), fmaxf(a.y, b.y), fmaxf(a.z, b.z), fmaxf(a.w, b.w));
}

// Largest component.
__device__ inline float largest_in(float4 x) { return fmaxf(fmaxf(x.x, x.y), fmaxf(x.z, x.w)); }

// Sum of the components.
__device__ inline float sum_in(float4 x) { return (x.x + x.y) + (x.z + x.w); }
