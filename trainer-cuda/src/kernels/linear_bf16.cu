// linear on tensor cores: the same products as in linear.cu, with the same finishes, in tiles of 128 × 128 results. For
// options that ask for it.
//
// linear_bf16_grad: of two activations, into floats: gradients of weights.
//
// linear_bf16_stack: many products of one shape, plain operands.
//
// linear_bf16_part: where there are few tiles and much depth, as in gradients of weights, blocks take a tile over a part of
// the depth each; linear_bf16_sum adds the parts in order, one thread per result.

#include "shared/product.cuh"
#include "shared/tile_bf16.cuh"

template <bool BY_DEPTH, class Entry> __device__ inline PlainLines<Entry> left_lines(const Product& p, const Entry* a) {
    return BY_DEPTH ? plain_lines(a, p.a_offset, p.rows, p.depth, p.a_i) : plain_lines(a, p.a_offset, p.depth, p.rows, p.a_l);
}

template <bool BY_DEPTH, class Entry> __device__ inline PlainLines<Entry> right_lines(const Product& p, const Entry* b) {
    return BY_DEPTH ? plain_lines(b, p.b_offset, p.cols, p.depth, p.b_j) : plain_lines(b, p.b_offset, p.depth, p.cols, p.b_l);
}

template <bool BY_DEPTH> __device__ inline PackedLines right_lines(const Product& p, const u32* b) {
    return BY_DEPTH ? PackedLines{b, p.cols, p.depth, p.bits, p.row_words}
                      : PackedLines{b, p.depth, p.cols, p.bits, p.row_words};
}

// Depths that a block sums, and its tile.
struct Part {
    u32 start, end, tile;
};

template <bool A_BY_DEPTH, bool B_BY_DEPTH, class Entry, class Word, class Finish>
__device__ inline void tile_of(SlicePair (&stages)[2], const Entry* a, const Word* b, const Product& p, Part part,
                               Finish finish) {
    const u32 row = part.tile / p.tiles * SIDE;
    const u32 col = part.tile % p.tiles * SIDE;
    const WarpSums sums = multiply_bf16<A_BY_DEPTH, B_BY_DEPTH>(stages, left_lines<A_BY_DEPTH>(p, a), right_lines<B_BY_DEPTH>(p, b), row, col,
                                                                part.start, part.end);
    const bool in_pairs = (p.y_offset | p.cols) % 2 == 0;
    sums.each([&](u32 i, u32 in_tile, float sum, float next) {
        const u32 j = col + in_tile;
        if (row + i >= p.rows || j >= p.cols) return;
        const u32 at = p.y_offset + (row + i) * p.cols + j;
        if (in_pairs) {
            store_two(finish.y + at, finish.value(at, j, sum), finish.value(at + 1, j + 1, next));
        } else {
            finish(at, j, sum);
            if (j + 1 < p.cols) finish(at + 1, j + 1, next);
        }
    });
}

// Forms of products that a kernel can form, as in linear.rs: by which extents the operands' rows run. Every one costs the
// compiler a copy of the tile.
const u32 NT = 1;
const u32 NN = 2;
const u32 TN = 4;

template <u32 FORMS, class Entry, class Word, class Finish>
__device__ inline void tile(SlicePair (&stages)[2], const Entry* a, const Word* b, const Product& p, Part part,
                            Finish finish) {
    if constexpr (FORMS & NT) {
        if (FORMS == NT || (p.a_l == 1 && p.b_l == 1)) return tile_of<true, true>(stages, a, b, p, part, finish);
    }
    if constexpr (FORMS & NN) {
        if (!(FORMS & TN) || p.a_l == 1) return tile_of<true, false>(stages, a, b, p, part, finish);
    }
    if constexpr (FORMS & TN) tile_of<false, false>(stages, a, b, p, part, finish);
}

__device__ inline Part whole(const Product& p) { return {0, p.depth, blockIdx.x}; }

extern "C" __global__ void __launch_bounds__(256)
linear_bf16_f32(const Act* a, const float* b, Act* y, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT | NN>(stages, a, b, p, whole(p), Store{y, p.accumulate});
}

extern "C" __global__ void __launch_bounds__(256)
linear_activation_bf16_f32(const Act* a, const float* b, Act* y, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT>(stages, a, b, p, whole(p), Activation{y, p.slope});
}

extern "C" __global__ void __launch_bounds__(256)
linear_add_scaled_bf16_f32(const Act* a, const float* b, Act* y, const Act* x, const float* scale, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT>(stages, a, b, p, whole(p), AddScaled{y, x, scale});
}

extern "C" __global__ void __launch_bounds__(256)
linear_residual_bf16_f32(const Act* a, const float* b, Act* y, const Act* x, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT>(stages, a, b, p, whole(p), Residual{y, x});
}

extern "C" __global__ void __launch_bounds__(256)
linear_bf16_packed(const Act* a, const u32* b, Act* y, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT | NN>(stages, a, b, p, whole(p), Store{y, p.accumulate});
}

extern "C" __global__ void __launch_bounds__(256)
linear_activation_bf16_packed(const Act* a, const u32* b, Act* y, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT>(stages, a, b, p, whole(p), Activation{y, p.slope});
}

extern "C" __global__ void __launch_bounds__(256)
linear_add_scaled_bf16_packed(const Act* a, const u32* b, Act* y, const Act* x, const float* scale, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT>(stages, a, b, p, whole(p), AddScaled{y, x, scale});
}

extern "C" __global__ void __launch_bounds__(256)
linear_residual_bf16_packed(const Act* a, const u32* b, Act* y, const Act* x, Product p) {
    __shared__ SlicePair stages[2];
    tile<NT>(stages, a, b, p, whole(p), Residual{y, x});
}

extern "C" __global__ void __launch_bounds__(256)
linear_bf16_grad(const Act* a, const Act* b, float* y, Product p) {
    __shared__ SlicePair stages[2];
    tile<TN>(stages, a, b, p, whole(p), Store{y, p.accumulate});
}

extern "C" __global__ void __launch_bounds__(256)
linear_bf16_stack(const Act* a, const Act* b, Act* y, StackedProduct stack) {
    __shared__ SlicePair stages[2];
    const Product p = stack.member();
    tile<NT | NN | TN>(stages, a, b, p, Part{0, p.depth, stack.tile()}, Store{y, p.accumulate});
}

// Scalars of a product in parts; the host passes them as so many words.
struct PartedProduct {
    Product product;
    u32 blocks;  // of a part
    u32 depth;   // of a part, a multiple of SLICE
    static constexpr const char* LETTERS = "uuuuuuuuuuuuuufuu";
};

// parts: [parts, rows, cols]
extern "C" __global__ void __launch_bounds__(256)
linear_bf16_part(const Act* a, const Act* b, float* parts, PartedProduct parted) {
    __shared__ SlicePair stages[2];
    const Product& p = parted.product;
    const u32 part = blockIdx.x / parted.blocks;
    const u32 start = part * parted.depth;
    const Part own = {start, min(start + parted.depth, p.depth), blockIdx.x % parted.blocks};
    tile<NT | NN | TN>(stages, a, b, p, own, Store{parts + part * p.rows * p.cols, 0});
}

// parts: [count, n]; y from its entry `offset` on
extern "C" __global__ void __launch_bounds__(256)
linear_bf16_sum(const float* parts, float* y, u32 n, u32 count, u32 offset, u32 accumulate) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float sum = parts[i];
    for (u32 part = 1; part < count; part++) sum += parts[part * n + i];
    Store{y, accumulate}(offset + i, 0, sum);
}
