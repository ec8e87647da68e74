// linear: y(i,j) from Σ_l a(i,l)·b(l,j); transposition is a matter of strides. linear_activation: leaky²(product);
// linear_add_scaled: x + scale⊙product; linear_residual: x + product. Each for operands b of floats and of packed rows, and in three cuts: a block per
// tile of 64 × 64 or of 128 × 128 results, and a warp per result for very few rows, where a tile would leave most of its
// threads idle and the weights are read once anyway.
//
// linear_64_stack, linear_128_stack: many products of one shape, plain operands, in either cut of tiles.

#include "shared/product.cuh"
#include "shared/reduce.cuh"
#include "shared/tile.cuh"

template <u32 SPAN, class Word, class Finish>
__device__ inline void tile(Slices<SPAN>& slices, const float* a, const Word* b, const Product& p, u32 index,
                            Finish finish) {
    const u32 row = index / p.tiles * 64 * SPAN;
    const u32 col = index % p.tiles * 64 * SPAN;
    const Accumulators<SPAN> sums = multiply<SPAN>(slices, left_of(p, a), right_of(p, b), row, col, p.depth);
#pragma unroll
    for (u32 at = 0; at < 4 * SPAN * SPAN; at++) {
        const u32 i = row + 4 * (16 * (at / (4 * SPAN)) + threadIdx.x / 16) + at / SPAN % 4;
        const u32 j = col + 4 * (16 * (at % SPAN) + threadIdx.x % 16);
        if (i >= p.rows) continue;
        const u32 first = p.y_offset + i * p.cols;
        if (j < p.cols) finish(first + j, j, sums.v[at].x);
        if (j + 1 < p.cols) finish(first + j + 1, j + 1, sums.v[at].y);
        if (j + 2 < p.cols) finish(first + j + 2, j + 2, sums.v[at].z);
        if (j + 3 < p.cols) finish(first + j + 3, j + 3, sums.v[at].w);
    }
}

template <class Word, class Finish>
__device__ inline void single(const float* a, const Word* b, const Product& p, Finish finish) {
    const u32 at = warp_index();
    if (at >= p.rows * p.cols) return;
    const LeftOperand left = left_of(p, a);
    const auto right = right_of(p, b);
    float sum = 0.0f;
    for (u32 l = threadIdx.x % WARP; l < p.depth; l += WARP) sum += left.load(at / p.cols, l) * right.load(l, at % p.cols);
    const float total = warp_sum(sum);
    if (threadIdx.x % WARP == 0) finish(p.y_offset + at, at % p.cols, total);
}

// The four finishes of one cut and operand. `COMPUTE(finish)` runs in a block that has `slices` where the cut is a tile.
#define KERNELS(CUT, WORD, SHARED, COMPUTE)                                                                            \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    linear_##CUT(const float* a, const WORD* b, float* y, Product p) {                                                 \
        SHARED COMPUTE((Store{y, p.accumulate}));                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    linear_activation_##CUT(const float* a, const WORD* b, float* y, Product p) {                                      \
        SHARED COMPUTE((Activation{y, p.slope}));                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    linear_add_scaled_##CUT(const float* a, const WORD* b, float* y, const float* x, const float* scale, Product p) {  \
        SHARED COMPUTE((AddScaled{y, x, scale}));                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    linear_residual_##CUT(const float* a, const WORD* b, float* y, const float* x, Product p) {                        \
        SHARED COMPUTE((Residual{y, x}));                                                                              \
    }

#define TILE_OF(FINISH) tile(slices, a, b, p, blockIdx.x, FINISH)
#define SINGLE(FINISH) single(a, b, p, FINISH)

KERNELS(row_f32, float, , SINGLE)
KERNELS(row_packed, u32, , SINGLE)
KERNELS(64_f32, float, __shared__ Slices<1> slices;, TILE_OF)
KERNELS(64_packed, u32, __shared__ Slices<1> slices;, TILE_OF)
KERNELS(128_f32, float, __shared__ Slices<2> slices;, TILE_OF)
KERNELS(128_packed, u32, __shared__ Slices<2> slices;, TILE_OF)

extern "C" __global__ void __launch_bounds__(256)
linear_64_stack(const float* a, const float* b, float* y, StackedProduct stack) {
    __shared__ Slices<1> slices;
    tile(slices, a, b, stack.member(), stack.tile(), Store{y, stack.product.accumulate});
}

extern "C" __global__ void __launch_bounds__(256)
linear_128_stack(const float* a, const float* b, float* y, StackedProduct stack) {
    __shared__ Slices<2> slices;
    tile(slices, a, b, stack.member(), stack.tile(), Store{y, stack.product.accumulate});
}
