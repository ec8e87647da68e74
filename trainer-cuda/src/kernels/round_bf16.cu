// round_bf16: x[rows, from] of f32 → y[rows, to] of bf16, rounded to nearest; rows cut or continued with zeros. `to` is a
// multiple of 8; one thread per vector of 8.

#include "shared/mma.cuh"

// n: vectors of y
extern "C" __global__ void __launch_bounds__(256) round_bf16(const float* x, uint4* y, u32 n, u32 from, u32 to) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const u32 vectors = to / 8;
    const u32 c = i % vectors * 8;
    const float* row = x + i / vectors * from;
    float4 a = splat(0.0f);
    float4 b = splat(0.0f);
    if (from % 4 == 0) {
        if (c < from) a = *(const float4*)(row + c);
        if (c + 4 < from) b = *(const float4*)(row + c + 4);
    } else {
        float v[8];
#pragma unroll
        for (u32 k = 0; k < 8; k++) v[k] = c + k < from ? row[c + k] : 0.0f;
        a = make_float4(v[0], v[1], v[2], v[3]);
        b = make_float4(v[4], v[5], v[6], v[7]);
    }
    y[i] = make_uint4(bf16_pair(a.x, a.y), bf16_pair(a.z, a.w), bf16_pair(b.x, b.y), bf16_pair(b.z, b.w));
}
