// embed: (ids i32[n], table[v,d]) → table[ids][n,d], one thread per eight channels of a token; embed_packed: the same of a
// table of q4 .. q8, one thread per element.

#include "shared/eights.cuh"
#include "shared/packed.cuh"

// eights: of a token; all: of all of them
extern "C" __global__ void __launch_bounds__(256)
embed(const u32* ids, const float* table, Act* y, u32 all, u32 d, u32 eights) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= all) return;
    const u32 c = i % eights * 8;
    const u32 from = ids[i / eights] * d;
    const u32 to = i / eights * d;
    if (d % 8 == 0) {
        store_eight<true>(y, to + c, to + d, eight_from<true>(table, from + c, from + d));
    } else {
        store_eight<false>(y, to + c, to + d, eight_from<false>(table, from + c, from + d));
    }
}

// table: [rows, row_words], then two fp16 scales a word
extern "C" __global__ void __launch_bounds__(256)
embed_packed(const u32* ids, const u32* table, Act* y, u32 n, u32 d, u32 rows, u32 row_words, u32 bits) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = packed_weight(table, ids[i / d], i % d, rows, bits, row_words);
}
