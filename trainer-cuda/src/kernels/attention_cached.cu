// attention_cached: (q[n,h,w], k[window,g,w], v[window,g,w], position i32[1]) → y[n,h,w]: query i attends to rows
// 0 ..= position + i of the caches.
//
// New tokens are few and keys many: one block of two warps per query and 64 channels of its result walks the keys 64 at a
// time. A thread scores one key, then sums one channel over all of them, so that values are read by neighbours together.
// Heads wider than 64 channels form their scores once for every 64.

#include "shared/reduce.cuh"

const u32 LANES = 64;
const float MASKED = -3.0e38f;

__device__ inline float score(const float* q, const float* k, u32 width, float scale) {
    float sum = 0.0f;
    for (u32 c = 0; c < width; c++) sum += q[c] * k[c];
    return sum * scale;
}

// group = h/g, chunks of 64 channels in a head, scale = 1/√w
extern "C" __global__ void __launch_bounds__(64)
attention_cached(const float* q, const float* k, const float* v, const u32* position, float* y, u32 heads, u32 group,
                 u32 width, u32 chunks, float scale) {
    __shared__ float scores[LANES];
    __shared__ float of_warps[2];
    const u32 index = blockIdx.x / chunks;
    const u32 c = blockIdx.x % chunks * LANES + threadIdx.x;
    const u32 pitch = heads / group * width;
    const u32 at = index % heads / group * width;
    const u32 keys = *position + index / heads + 1;
    float largest = MASKED;
    float total = 0.0f;
    float sum = 0.0f;
    for (u32 start = 0; start < keys; start += LANES) {
        const u32 key = start + threadIdx.x;
        const float s = key < keys ? score(q + index * width, k + key * pitch + at, width, scale) : MASKED;
        scores[threadIdx.x] = s;
        __syncthreads();
        float grown = largest;
        for (u32 i = 0; i < LANES; i++) grown = fmaxf(grown, scores[i]);
        const float shrink = expf(largest - grown);
        largest = grown;
        const float weight = key < keys ? expf(s - grown) : 0.0f;
        total = total * shrink + block_sum(weight, of_warps);
        sum *= shrink;
        // The sum's barriers stand between everybody's look at the scores and this.
        scores[threadIdx.x] = weight;
        __syncthreads();
        if (c < width) {
            const u32 count = min(LANES, keys - start);
            for (u32 i = 0; i < count; i++) sum += scores[i] * v[(start + i) * pitch + at + c];
        }
        __syncthreads();
    }
    if (c < width) y[index * width + c] = sum / total;
}
