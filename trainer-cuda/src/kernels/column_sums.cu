// Second stage of column_sums.cuh. column_sums_join: (partials[chunks, width]) → y[width], the sums over chunks;
// column_sums_join_pair: the same for width = 2d into a[d] and b[d]. A block takes 8 columns; for each, 32 threads sum
// every 32nd chunk, and one adds those up in order.

#include "shared/vector.cuh"

const u32 COLUMNS = 8;
const u32 PARTS = 32;

// Sum of column `column`, valid in the first COLUMNS threads. Call with all threads.
__device__ inline float joined(const float* partials, float* parts, u32 column, u32 chunks, u32 width) {
    float sum = 0.0f;
    if (column < width) {
#pragma unroll 8
        for (u32 chunk = threadIdx.x / COLUMNS; chunk < chunks; chunk += PARTS) sum += partials[chunk * width + column];
    }
    parts[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x < COLUMNS) {
        for (u32 part = 1; part < PARTS; part++) sum += parts[part * COLUMNS + threadIdx.x];
    }
    return sum;
}

extern "C" __global__ void __launch_bounds__(256)
column_sums_join(const float* partials, float* y, u32 chunks, u32 width) {
    __shared__ float parts[256];  // [PARTS][COLUMNS]
    const u32 column = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    const float sum = joined(partials, parts, column, chunks, width);
    if (threadIdx.x < COLUMNS && column < width) y[column] = sum;
}

extern "C" __global__ void __launch_bounds__(256)
column_sums_join_pair(const float* partials, float* a, float* b, u32 chunks, u32 width) {
    __shared__ float parts[256];  // [PARTS][COLUMNS]
    const u32 column = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
    const float sum = joined(partials, parts, column, chunks, width);
    if (threadIdx.x >= COLUMNS || column >= width) return;
    const u32 d = width / 2;
    if (column < d) {
        a[column] = sum;
    } else {
        b[column - d] = sum;
    }
}
