// embed_grad: (ids i32[n], dy[n,d]) → dtable[v,d], row r the sum of the rows of dy whose id is r, in order of occurrence;
// zero where there is none. No atomics: the order of a sum never changes.
//
// embed_grad_sort: → (order[n], sorted[n]): positions by id and, of one id, by occurrence, and the ids in that order.
// Every thread counts for its token how many come before it, over chunks of ids that a block shares: n² comparisons
// whatever the vocabulary, in one launch.
// embed_grad: a block takes 128 columns of one row of the table and finds its segment of the sorted ids by bisection, so
// a table much larger than the batch costs little more than its zeros. Four rows are loaded ahead of their additions:
// frequent ids would wait for memory otherwise.

#include "shared/vector.cuh"

const u32 CHUNK = 256;
const u32 COLUMNS = 128;

// Id of position i; past the end one that comes before no other.
__device__ inline int id_at(const int* ids, u32 i, u32 n) { return i < n ? ids[i] : 0x7fffffff; }

extern "C" __global__ void __launch_bounds__(256) embed_grad_sort(const int* ids, u32* order, int* sorted, u32 n) {
    __shared__ int chunk[CHUNK];
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    const int id = id_at(ids, i, n);
    u32 place = 0;
    for (u32 start = 0; start < n; start += CHUNK) {
        chunk[threadIdx.x] = id_at(ids, start + threadIdx.x, n);
        __syncthreads();
        // An equal id comes before only from an earlier position.
        for (u32 k = 0; k < CHUNK; k++) place += chunk[k] < id || (chunk[k] == id && start + k < i);
        __syncthreads();
    }
    if (i < n) {
        order[place] = i;
        sorted[place] = id;
    }
}

// Number of ids below `id`.
__device__ inline u32 lower_bound(const int* sorted, int id, u32 n) {
    u32 low = 0;
    u32 high = n;
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

extern "C" __global__ void __launch_bounds__(128)
embed_grad(const u32* order, const int* sorted, const float* dy, float* dtable, u32 n, u32 d) {
    const u32 tiles = (d + COLUMNS - 1) / COLUMNS;
    const u32 row = blockIdx.x / tiles;
    const u32 c = blockIdx.x % tiles * COLUMNS + threadIdx.x;
    if (c >= d) return;
    u32 k = lower_bound(sorted, (int)row, n);
    const u32 end = lower_bound(sorted, (int)row + 1, n);
    float sum = 0.0f;
    for (; k + 4 <= end; k += 4) {
        const float x0 = dy[order[k] * d + c];
        const float x1 = dy[order[k + 1] * d + c];
        const float x2 = dy[order[k + 2] * d + c];
        const float x3 = dy[order[k + 3] * d + c];
        sum = (((sum + x0) + x1) + x2) + x3;
    }
    for (; k < end; k++) sum += dy[order[k] * d + c];
    dtable[row * d + c] = sum;
}
