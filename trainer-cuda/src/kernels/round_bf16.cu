// round_bf16: x[rows, from] → y[rows, to] of bf16, rounded to nearest; rows cut or continued with zeros. `to` is a
// multiple of 8; one thread per vector of 8. widen_bf16: x[n] of bf16 → y[n] of f32; narrow_bf16: the other way, rounded to
// nearest, the last word's second half zero where n is odd. One thread per pair.

#include "shared/activation.cuh"

// n: vectors of y
extern "C" __global__ void __launch_bounds__(256) round_bf16(const Act* x, uint4* y, u32 n, u32 from, u32 to) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const u32 vectors = to / 8;
    const u32 c = i % vectors * 8;
    const Act* row = x + i / vectors * from;
    float4 a = splat(0.0f);
    float4 b = splat(0.0f);
    if (from % 4 == 0) {
        if (c < from) a = four_at(row + c);
        if (c + 4 < from) b = four_at(row + c + 4);
    } else {
        float v[8];
#pragma unroll
        for (u32 k = 0; k < 8; k++) v[k] = c + k < from ? row[c + k] : 0.0f;
        a = make_float4(v[0], v[1], v[2], v[3]);
        b = make_float4(v[4], v[5], v[6], v[7]);
    }
    y[i] = make_uint4(bf16_pair(a.x, a.y), bf16_pair(a.z, a.w), bf16_pair(b.x, b.y), bf16_pair(b.z, b.w));
}

extern "C" __global__ void __launch_bounds__(256) widen_bf16(const u32* x, float* y, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n / 2 + n % 2) return;
    y[2 * i] = bf16_first(x[i]);
    if (2 * i + 1 < n) y[2 * i + 1] = bf16_second(x[i]);
}

extern "C" __global__ void __launch_bounds__(256) narrow_bf16(const float* x, u32* y, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n / 2 + n % 2) return;
    y[i] = bf16_pair(x[2 * i], 2 * i + 1 < n ? x[2 * i + 1] : 0.0f);
}
