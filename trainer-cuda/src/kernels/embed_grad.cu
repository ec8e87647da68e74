// embed_grad: (ids i32[n], dy[n,d]) → dtable[v,d], row r the sum of the rows of dy whose id is r, in order of occurrence;
// zero where there is none. No atomics: the order of a sum never changes.
//
// embed_grad_sort: → (order[n], sorted[n]): in every chunk of 1024 tokens, positions by id and, of one id, by occurrence,
// and the ids in that order. A block takes a chunk; a thread counts for four of its tokens how many come before them.
// embed_grad: a block takes 128 columns of one row of the table. Its threads find the row's segment in a chunk each, by
// bisection, so a table much larger than the batch costs little more than its zeros; then all add up the segments in order.

#include "shared/activation.cuh"

const u32 CHUNK = 1024;
const u32 COLUMNS = 128;

extern "C" __global__ void __launch_bounds__(256) embed_grad_sort(const int* ids, u32* order, int* sorted, u32 n) {
    __shared__ int chunk[CHUNK];
    const u32 start = blockIdx.x * CHUNK;
    const u32 count = min(CHUNK, n - start);
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) chunk[i] = ids[start + i];
    __syncthreads();
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        const int id = chunk[i];
        u32 place = start;
        // An equal id comes before only from an earlier position.
        for (u32 k = 0; k < count; k++) place += chunk[k] < id || (chunk[k] == id && k < i);
        order[place] = start + i;
        sorted[place] = id;
    }
}

// First position from `low` to `high` whose id is not below `id`.
__device__ inline u32 lower_bound(const int* sorted, int id, u32 low, u32 high) {
    while (low < high) {
        const u32 middle = (low + high) / 2;
        if (sorted[middle] < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// sum + column `c` of the rows of dy at `order[k]`, k < end, in order. Four rows are loaded ahead of their additions:
// frequent ids would wait for memory otherwise.
__device__ inline float add_segment(float sum, const u32* order, const Act* dy, u32 k, u32 end, u32 c, u32 d) {
    for (; k + 4 <= end; k += 4) {
        const float x0 = dy[order[k] * d + c];
        const float x1 = dy[order[k + 1] * d + c];
        const float x2 = dy[order[k + 2] * d + c];
        const float x3 = dy[order[k + 3] * d + c];
        sum = (((sum + x0) + x1) + x2) + x3;
    }
    for (; k < end; k++) sum += dy[order[k] * d + c];
    return sum;
}

extern "C" __global__ void __launch_bounds__(128)
embed_grad(const u32* order, const int* sorted, const Act* dy, float* dtable, u32 n, u32 d) {
    __shared__ u32 from[COLUMNS];
    __shared__ u32 to[COLUMNS];
    const u32 tiles = (d + COLUMNS - 1) / COLUMNS;
    const u32 chunks = (n + CHUNK - 1) / CHUNK;
    const int row = (int)(blockIdx.x / tiles);
    const u32 c = blockIdx.x % tiles * COLUMNS + threadIdx.x;
    float sum = 0.0f;
    for (u32 first = 0; first < chunks; first += COLUMNS) {
        const u32 chunk = first + threadIdx.x;
        if (chunk < chunks) {
            const u32 end = min((chunk + 1) * CHUNK, n);
            from[threadIdx.x] = lower_bound(sorted, row, chunk * CHUNK, end);
            to[threadIdx.x] = lower_bound(sorted, row + 1, from[threadIdx.x], end);
        }
        __syncthreads();
        for (u32 k = 0; k < min(COLUMNS, chunks - first) && c < d; k++) {
            sum = add_segment(sum, order, dy, from[k], to[k], c, d);
        }
        __syncthreads();
    }
    if (c < d) dtable[(u32)row * d + c] = sum;
}
