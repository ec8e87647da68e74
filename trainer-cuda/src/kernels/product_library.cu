// What surrounds a product that a library forms. round_bf16: entries of an operand as bf16, two to a word, the first in the
// low half, from floats or from packed rows; one thread per word. finish: what becomes of the product y, as in linear.cu;
// one thread per entry.

#include "shared/activation.cuh"
#include "shared/packed.cuh"

// x: [offset + n], y: [⌈n/2⌉].
extern "C" __global__ void __launch_bounds__(256)
round_bf16_f32(const Act* x, u32* y, u32 n, u32 offset) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n / 2 + n % 2) return;
    const Act* pair = x + offset + 2 * i;
    y[i] = bf16_pair(pair[0], 2 * i + 1 < n ? pair[1] : 0.0f);
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
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float leaky = y[i] >= 0.0f ? y[i] : slope * y[i];
    y[i] = leaky * leaky;
}

// y: [n] in place, x: [n], scale: [cols].
extern "C" __global__ void __launch_bounds__(256)
product_add_scaled(Act* y, const Act* x, const float* scale, u32 n, u32 cols) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] + scale[i % cols] * y[i];
}
