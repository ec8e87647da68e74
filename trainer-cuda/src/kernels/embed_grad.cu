// embed_grad: (ids i32[n], dy[n,d]) → dtable[v,d], row r the sum of the rows of dy whose id is r, zero where there is none. No
// atomics: the order of a sum never changes, nor does it depend on other rows.
//
// embed_grad_sort: → (order[n], firsts[chunks, v + 1]): in every chunk of 512 tokens, positions by id and, of one id, by
// occurrence; and where in that order ids begin that are not below r, for r ≤ v. A block takes a chunk; a thread counts for
// two of its tokens how many come before them.
// embed_grad: a block takes 128 columns of one row of the table. Frequent ids would wait for memory if their rows were added up
// one after the other: 32 groups of 16 threads take chunks in turn, and their sums are added in order.

#include "shared/eights.cuh"

const u32 CHUNK = 512;
const u32 COLUMNS = 128;
const u32 GROUPS = 32;
const u32 LANES = COLUMNS / 8;

// First place of `sorted` whose id is not below `id`.
__device__ inline u32 lower_bound(const int* sorted, int id, u32 count) {
    u32 low = 0;
    u32 high = count;
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

extern "C" __global__ void __launch_bounds__(256)
embed_grad_sort(const int* ids, u32* order, u32* firsts, u32 n, u32 rows) {
    __shared__ int chunk[CHUNK];
    __shared__ int sorted[CHUNK];
    const u32 start = blockIdx.x * CHUNK;
    const u32 count = min(CHUNK, n - start);
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) chunk[i] = ids[start + i];
    __syncthreads();
    for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
        const int id = chunk[i];
        u32 place = 0;
        // An equal id comes before only from an earlier position.
        for (u32 k = 0; k < count; k++) place += chunk[k] < id || (chunk[k] == id && k < i);
        order[start + place] = start + i;
        sorted[place] = id;
    }
    __syncthreads();
    u32* own = firsts + blockIdx.x * (rows + 1);
    for (u32 row = threadIdx.x; row <= rows; row += blockDim.x) own[row] = start + lower_bound(sorted, (int)row, count);
}

// sum + columns at .. at + 8 of the rows of dy at `order[k]`, k < end, in order. Four rows are loaded ahead of their additions.
template <bool WHOLE>
__device__ inline Eight add_segment(Eight sum, const u32* order, const Act* dy, u32 k, u32 end, u32 c, u32 d) {
    const auto at = [&](u32 k) { return eight_from<WHOLE>(dy, order[k] * d + c, (order[k] + 1) * d); };
    for (; k + 4 <= end; k += 4) {
        const Eight rows[4] = {at(k), at(k + 1), at(k + 2), at(k + 3)};
#pragma unroll
        for (u32 i = 0; i < 4; i++) sum = add_products(sum, rows[i], 1.0f);
    }
    for (; k < end; k++) sum = add_products(sum, at(k), 1.0f);
    return sum;
}

// What a block holds of its chunks and sums.
struct Shared {
    u32 from[LANES * GROUPS], to[LANES * GROUPS];
    float sums[GROUPS][COLUMNS];
};

template <bool WHOLE>
__device__ inline void row_gradient(Shared& shared, const u32* order, const u32* firsts, const Act* dy, float* dtable, u32 n, u32 d, u32 rows) {
    const u32 tiles = (d + COLUMNS - 1) / COLUMNS;
    const u32 chunks = (n + CHUNK - 1) / CHUNK;
    const u32 row = blockIdx.x / tiles;
    const u32 group = threadIdx.x / LANES;
    const u32 c = blockIdx.x % tiles * COLUMNS + threadIdx.x % LANES * 8;
    Eight sum = {};
    for (u32 first = 0; first < chunks; first += blockDim.x) {
        const u32 here = min(chunks - first, blockDim.x);
        if (threadIdx.x < here) {
            const u32* own = firsts + (first + threadIdx.x) * (rows + 1) + row;
            shared.from[threadIdx.x] = own[0];
            shared.to[threadIdx.x] = own[1];
        }
        __syncthreads();
        for (u32 k = group; k < here && c < d; k += GROUPS) {
            sum = add_segment<WHOLE>(sum, order, dy, shared.from[k], shared.to[k], c, d);
        }
        __syncthreads();
    }
    store_eight_at(&shared.sums[group][threadIdx.x % LANES * 8], sum);
    __syncthreads();
    const u32 column = blockIdx.x % tiles * COLUMNS + threadIdx.x;
    if (threadIdx.x >= COLUMNS || column >= d) return;
    float total = 0.0f;
    for (u32 k = 0; k < GROUPS; k++) total += shared.sums[k][threadIdx.x];
    dtable[row * d + column] = total;
}

extern "C" __global__ void __launch_bounds__(512)
embed_grad(const u32* order, const u32* firsts, const Act* dy, float* dtable, u32 n, u32 d, u32 rows) {
    __shared__ Shared shared;
    d % 8 == 0 ? row_gradient<true>(shared, order, firsts, dy, dtable, n, d, rows)
               : row_gradient<false>(shared, order, firsts, dy, dtable, n, d, rows);
}
