// linear on tensor cores: the same products as in linear.cu, with the same finishes; both operands are rounded to bf16 on
// their way into shared memory, and added up in f32. For options that ask for it.
//
// A block of 8 warps takes 128 × 128 results, a warp 64 × 32 of them as 4 × 4 tiles of a matrix instruction. Operands pass
// in slices of 32 along the depth, as pairs along it: rows of 16 words, spaced by 20 so that the 8 × 4 words that a
// fragment reads lie in 32 banks.

#include "shared/mma.cuh"
#include "shared/product.cuh"

const u32 SIDE = 128;
const u32 PAIRS = 16;
const u32 PITCH = 20;

struct PairSlices {
    u32 a[SIDE][PITCH];
    u32 b[SIDE][PITCH];
};

// One operand's next slice: `load(i, l)` along the result from `first`, and along the depth from `start`.
template <class Load>
__device__ inline void fill_pairs(u32 (*slice)[PITCH], u32 first, u32 start, bool by_depth, Load load) {
#pragma unroll 2
    for (u32 at = threadIdx.x; at < SIDE * PAIRS; at += 256) {
        const u32 row = by_depth ? at / PAIRS : at % SIDE;
        const u32 pair = by_depth ? at % PAIRS : at / SIDE;
        const u32 l = start + 2 * pair;
        slice[row][pair] = bf16_pair(load(first + row, l), load(first + row, l + 1));
    }
}

// A warp's 64 × 32 results: [16 rows of][8 columns of][as the instruction orders them].
struct WarpSums {
    float v[4][4][4];
};

// Where a thread stands: rows and columns of its warp in the block, group and member of its lane.
struct Seat {
    u32 row, col, group, member;
};

__device__ inline Seat seat_of_thread() {
    const u32 warp = threadIdx.x / 32;
    const u32 lane = threadIdx.x % 32;
    return {warp / 4 * 64, warp % 4 * 32, lane / 4, lane % 4};
}

// Adds the products of 16 of the slice's 32 steps of depth, from pair `pair` on.
__device__ inline void add_steps(WarpSums& sums, const PairSlices& slices, Seat at, u32 pair) {
    u32 b[4][2];
#pragma unroll
    for (u32 n = 0; n < 4; n++) {
        const u32* column = slices.b[at.col + 8 * n + at.group] + pair + at.member;
        b[n][0] = column[0];
        b[n][1] = column[4];
    }
#pragma unroll
    for (u32 m = 0; m < 4; m++) {
        const u32* row = slices.a[at.row + 16 * m + at.group] + pair + at.member;
        const u32 a[4] = {row[0], row[8 * PITCH], row[4], row[8 * PITCH + 4]};
#pragma unroll
        for (u32 n = 0; n < 4; n++) multiply_add_bf16(sums.v[m][n], a, b[n]);
    }
}

template <class Word, class Finish>
__device__ inline void tile(PairSlices& slices, const float* a, const Word* b, const Product& p, Finish finish) {
    const u32 row = blockIdx.x / p.tiles * SIDE;
    const u32 col = blockIdx.x % p.tiles * SIDE;
    const LeftOperand left = left_of(p, a);
    const auto right = right_of(p, b);
    const Seat at = seat_of_thread();
    WarpSums sums = {};
    for (u32 start = 0; start < p.depth; start += 2 * PAIRS) {
        fill_pairs(slices.a, row, start, left.by_depth(), [&](u32 i, u32 l) { return left.load(i, l); });
        fill_pairs(slices.b, col, start, right.by_depth(), [&](u32 j, u32 l) { return right.load(l, j); });
        __syncthreads();
        add_steps(sums, slices, at, 0);
        add_steps(sums, slices, at, PAIRS / 2);
        __syncthreads();
    }
#pragma unroll
    for (u32 k = 0; k < 64; k++) {
        const u32 m = k / 16;
        const u32 n = k / 4 % 4;
        const u32 i = row + at.row + 16 * m + at.group + k % 4 / 2 * 8;
        const u32 j = col + at.col + 8 * n + 2 * at.member + k % 2;
        if (i < p.rows && j < p.cols) finish(p.y_offset + i * p.cols + j, j, sums.v[m][n][k % 4]);
    }
}

extern "C" __global__ void __launch_bounds__(256)
linear_bf16_f32(const float* a, const float* b, float* y, Product p) {
    __shared__ PairSlices slices;
    tile(slices, a, b, p, Store{y, p.accumulate});
}

extern "C" __global__ void __launch_bounds__(256)
linear_activation_bf16_f32(const float* a, const float* b, float* y, Product p) {
    __shared__ PairSlices slices;
    tile(slices, a, b, p, Activation{y, p.slope});
}

extern "C" __global__ void __launch_bounds__(256)
linear_add_scaled_bf16_f32(const float* a, const float* b, float* y, const float* x, const float* scale, Product p) {
    __shared__ PairSlices slices;
    tile(slices, a, b, p, AddScaled{y, x, scale});
}

extern "C" __global__ void __launch_bounds__(256)
linear_bf16_packed(const float* a, const u32* b, float* y, Product p) {
    __shared__ PairSlices slices;
    tile(slices, a, b, p, Store{y, p.accumulate});
}

extern "C" __global__ void __launch_bounds__(256)
linear_activation_bf16_packed(const float* a, const u32* b, float* y, Product p) {
    __shared__ PairSlices slices;
    tile(slices, a, b, p, Activation{y, p.slope});
}

extern "C" __global__ void __launch_bounds__(256)
linear_add_scaled_bf16_packed(const float* a, const u32* b, float* y, const float* x, const float* scale, Product p) {
    __shared__ PairSlices slices;
    tile(slices, a, b, p, AddScaled{y, x, scale});
}
