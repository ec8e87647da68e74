// What a library's product is compared with our own by. noise: numbers in [-1, 1) that follow from their index; one thread
// each. largest_difference: of x and y, a part of them per block; NaN counts as infinity.

#include "shared/vector.cuh"

extern "C" __global__ void __launch_bounds__(256)
noise(float* y, u32 n, u32 seed) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    u32 hash = (i ^ seed) * 0x9e3779b9u + seed;
    hash = (hash ^ (hash >> 15)) * 0x85ebca6bu;
    hash = (hash ^ (hash >> 13)) * 0xc2b2ae35u;
    y[i] = (float)(hash >> 8) * 1.1920929e-7f - 1.0f;  // 2⁻²³
}

// x, y: [n], parts: one per block.
extern "C" __global__ void __launch_bounds__(256)
largest_difference(const float* x, const float* y, float* parts, u32 n) {
    __shared__ float of_threads[256];
    float largest = 0.0f;
    for (u32 i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
        const float difference = fabsf(x[i] - y[i]);
        largest = difference <= 3.4e38f ? fmaxf(largest, difference) : __uint_as_float(0x7f800000u);
    }
    of_threads[threadIdx.x] = largest;
    __syncthreads();
    if (threadIdx.x != 0) return;
    for (u32 at = 1; at < 256; at++) largest = fmaxf(largest, of_threads[at]);
    parts[blockIdx.x] = largest;
}
