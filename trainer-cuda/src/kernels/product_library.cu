// What surrounds a product that a library forms. round_bf16: entries of an operand as bf16, two to a word, the first in the
// low half: from floats or activations, one thread per eight; of rows of floats, one block per piece; from packed rows, one
// thread per word. finish: what becomes of the product y, as in linear.cu, one thread per eight entries or per entry.

#include "shared/elements.cuh"
#include "shared/packed.cuh"
#include "shared/rows.cuh"

// Eight entries of x[.. end] from `at` on, to the words of y from entry `i` on.
template <bool WHOLE, class Entry> __device__ inline void round_eight(const Entry* x, u32 at, u32 end, u32* y, u32 i) {
    const Eight e = eight_from<WHOLE>(x, at, end);
    const uint4 words = make_uint4(bf16_pair(e.v[0], e.v[1]), bf16_pair(e.v[2], e.v[3]), bf16_pair(e.v[4], e.v[5]),
                                   bf16_pair(e.v[6], e.v[7]));
    if (WHOLE && at < end) *(uint4*)(y + i / 2) = words;
    if (!WHOLE && at < end) y[i / 2] = words.x;
    if (!WHOLE && at + 2 < end) y[i / 2 + 1] = words.y;
    if (!WHOLE && at + 4 < end) y[i / 2 + 2] = words.z;
    if (!WHOLE && at + 6 < end) y[i / 2 + 3] = words.w;
}

// x: [offset + n], y: [⌈n/2⌉].
extern "C" __global__ void __launch_bounds__(256)
round_bf16_f32(const Act* x, u32* y, u32 n, u32 offset) {
    const u32 i = first_of_eight();
    (n | offset) % 8 == 0 ? round_eight<true>(x, offset + i, offset + n, y, i)
                          : round_eight<false>(x, offset + i, offset + n, y, i);
}

// x: [n], y: [⌈n/2⌉].
struct RoundRow {
    const float* x;
    u32* y;
    u32 n;
};

extern "C" __global__ void __launch_bounds__(256) round_bf16_rows(Rows<RoundRow> table, u32 rows) {
    __shared__ u32 found;
    const Own<RoundRow> own = table.own(rows, found);
    const RoundRow& row = own.row;
    own_eight(own.block, row.n, [&](Form form, u32 i) {
        form.whole ? round_eight<true>(row.x, i, row.n, row.y, i) : round_eight<false>(row.x, i, row.n, row.y, i);
    });
}

// packed: [n / cols, cols] of `bits` bits, y: [⌈n/2⌉].
extern "C" __global__ void __launch_bounds__(256)
round_bf16_packed(const u32* packed, u32* y, u32 n, u32 cols, u32 bits, u32 row_words) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n / 2 + n % 2) return;
    const u32 rows = n / cols;
    const u32 odd = 2 * i + 1;
    const float low = packed_weight(packed, 2 * i / cols, 2 * i % cols, rows, bits, row_words);
    const float high = odd < n ? packed_weight(packed, odd / cols, odd % cols, rows, bits, row_words) : 0.0f;
    y[i] = bf16_pair(low, high);
}

// y: [n], in place.
extern "C" __global__ void __launch_bounds__(256)
product_activation(Act* y, u32 n, float slope) {
    map_one(y, y, n, [&](float z) {
        const float leaky = z >= 0.0f ? z : slope * z;
        return leaky * leaky;
    });
}

// y: [n] in place, x: [n], scale: [cols].
extern "C" __global__ void __launch_bounds__(256)
product_add_scaled(Act* y, const Act* x, const float* scale, u32 n, u32 cols) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + scale[i % cols] * y[i];
}
