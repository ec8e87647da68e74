// embed: (ids i32[n], table[v,d]) → table[ids][n,d]; embed_packed: the same of a table of q4 .. q8. One thread per
// element: neighbours read neighbours.

#include "shared/activation.cuh"
#include "shared/packed.cuh"

// n: elements of the result
extern "C" __global__ void __launch_bounds__(256) embed(const u32* ids, const float* table, Act* y, u32 n, u32 d) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = table[ids[i / d] * d + i % d];
}

// table: [rows, row_words], then two fp16 scales a word
extern "C" __global__ void __launch_bounds__(256)
embed_packed(const u32* ids, const u32* table, Act* y, u32 n, u32 d, u32 rows, u32 row_words, u32 bits) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = packed_weight(table, ids[i / d], i % d, rows, bits, row_words);
}
