// A tile of 128 × 128 of a matrix product on tensor cores, Σ_l a(i,l)·b(l,j), by 8 warps; operands are rounded to bf16 on
// their way into shared memory, and added up in f32.
//
// A warp takes 64 × 32 results as 4 × 4 tiles of a matrix instruction: six loads of ldmatrix for 32 instructions. Operands
// pass in slices of 32 along the depth, in two stages: vectors of the next slice are read into registers, this slice is
// multiplied, the vectors are rounded and stored. A slice lies as the operand lies in memory, 8 entries to a vector, so
// that reads and stores are of neighbours whatever is transposed; ldmatrix turns what has to be turned. A vector lies at
// its column xor its row: the 8 rows of a matrix never collide in a bank.

#pragma once

#include "shared/activation.cuh"
#include "shared/packed.cuh"

const u32 SIDE = 128;
const u32 SLICE = 32;
const u32 TILE_THREADS = 256;

// Lines of floats or activations: entry(line, at) for line < lines and at < run, zero outside.
template <class Entry> struct PlainLines {
    const Entry* x;
    u32 lines, run, stride;
    bool aligned;  // whether every fourth entry of a line is at a multiple of four entries

    __device__ float entry(u32 line, u32 at) const { return at < run ? (float)x[line * stride + at] : 0.0f; }

    // Entries at .. at + 4 of a line; `at` is a multiple of 4.
    __device__ float4 four(u32 line, u32 at) const {
        if (line >= lines || at >= run) return splat(0.0f);
        if (aligned) return four_at(x + line * stride + at);
        return make_float4(entry(line, at), entry(line, at + 1), entry(line, at + 2), entry(line, at + 3));
    }
};

template <class Entry>
__device__ inline PlainLines<Entry> plain_lines(const Entry* x, u32 offset, u32 lines, u32 run, u32 stride) {
    return {x + offset, lines, run, stride, offset % 4 == 0 && stride % 4 == 0 && run % 4 == 0};
}

// Lines of packed integers.
struct PackedLines {
    const u32* packed;
    u32 lines, run, bits, row_words;

    __device__ float entry(u32 line, u32 at) const {
        return at < run ? packed_weight(packed, line, at, lines, bits, row_words) : 0.0f;
    }

    __device__ float4 four(u32 line, u32 at) const {
        if (line >= lines) return splat(0.0f);
        return make_float4(entry(line, at), entry(line, at + 1), entry(line, at + 2), entry(line, at + 3));
    }
};

// One operand's slice: [128 of the result][32 of the depth] where lines run along the depth, else [32][128].
struct OperandSlice {
    uint4 v[SIDE * SLICE / 8];
};

struct SlicePair {
    OperandSlice a, b;
};

// Where vector `c` of row `row` of a slice lies.
template <bool BY_DEPTH> __device__ inline u32 place(u32 row, u32 c) {
    return BY_DEPTH ? row * (SLICE / 8) + (c ^ row / 2 % 4) : row * (SIDE / 8) + (c ^ row % 8);
}

// A thread's part of a slice on its way.
struct Load {
    float4 v[SIDE * SLICE / 4 / TILE_THREADS];
};

// Where a thread's part `i` lies in a slice: row, and fours of entries along it.
template <bool BY_DEPTH> __device__ inline uint2 part_of_thread(u32 i) {
    const u32 at = threadIdx.x + i * TILE_THREADS;
    const u32 fours = (BY_DEPTH ? SLICE : SIDE) / 4;
    return make_uint2(at / fours, at % fours);
}

// Reads the slice whose first result is `first` and whose first depth is `start`.
template <bool BY_DEPTH, class Lines> __device__ inline Load read_slice(const Lines& lines, u32 first, u32 start) {
    Load load;
#pragma unroll
    for (u32 i = 0; i < sizeof(Load) / sizeof(float4); i++) {
        const uint2 part = part_of_thread<BY_DEPTH>(i);
        load.v[i] = BY_DEPTH ? lines.four(first + part.x, start + 4 * part.y)
                             : lines.four(start + part.x, first + 4 * part.y);
    }
    return load;
}

template <bool BY_DEPTH> __device__ inline void store_slice(OperandSlice& slice, const Load& load) {
    uint2* halves = (uint2*)slice.v;
#pragma unroll
    for (u32 i = 0; i < sizeof(Load) / sizeof(float4); i++) {
        const uint2 part = part_of_thread<BY_DEPTH>(i);
        const float4 x = load.v[i];
        halves[2 * place<BY_DEPTH>(part.x, part.y / 2) + part.y % 2] =
            make_uint2(bf16_pair(x.x, x.y), bf16_pair(x.z, x.w));
    }
}

// The left operand of 16 results from `first` on, at depth 16·step of the slice.
template <bool BY_DEPTH> __device__ inline void left_operand(u32 (&a)[4], const OperandSlice& slice, u32 first, u32 step) {
    const u32 lane = threadIdx.x % 32;
    if (BY_DEPTH) {
        load_matrices(a, &slice.v[place<true>(first + lane % 16, 2 * step + lane / 16)]);
    } else {
        load_matrices_transposed(a, &slice.v[place<false>(16 * step + lane / 16 * 8 + lane % 8, first / 8 + lane / 8 % 2)]);
    }
}

// Right operands of 16 results from `first` on: words 0 and 1 of the first eight, 2 and 3 of the others.
template <bool BY_DEPTH> __device__ inline void right_operands(u32 (&b)[4], const OperandSlice& slice, u32 first, u32 step) {
    const u32 lane = threadIdx.x % 32;
    if (BY_DEPTH) {
        load_matrices(b, &slice.v[place<true>(first + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2)]);
    } else {
        load_matrices_transposed(b, &slice.v[place<false>(16 * step + lane % 16, first / 8 + lane / 16)]);
    }
}

// A warp's 64 × 32 results: [16 rows of][8 columns of][as the instruction orders them].
struct WarpSums {
    float v[4][4][4];

    // Calls use(row, column, sum, next) for a thread's results and their neighbours to the right, by their place in the
    // tile; columns are even.
    template <class Use> __device__ void each(Use use) const {
        const u32 warp = threadIdx.x / 32;
        const u32 row = warp / 4 * 64 + threadIdx.x % 32 / 4;
        const u32 column = warp % 4 * 32 + 2 * (threadIdx.x % 4);
#pragma unroll
        for (u32 k = 0; k < 32; k++) {
            const u32 n = k / 2 % 4;
            const float* pair = v[k / 8][n] + 2 * (k % 2);
            use(row + 16 * (k / 8) + k % 2 * 8, column + 8 * n, pair[0], pair[1]);
        }
    }
};

template <bool A_BY_DEPTH, bool B_BY_DEPTH> __device__ inline void add_slice(WarpSums& sums, const SlicePair& slices) {
    const u32 row = threadIdx.x / 128 * 64;
    const u32 column = threadIdx.x / 32 % 4 * 32;
#pragma unroll
    for (u32 step = 0; step < SLICE / 16; step++) {
        u32 b[2][4];
        right_operands<B_BY_DEPTH>(b[0], slices.b, column, step);
        right_operands<B_BY_DEPTH>(b[1], slices.b, column + 16, step);
#pragma unroll
        for (u32 m = 0; m < 4; m++) {
            u32 a[4];
            left_operand<A_BY_DEPTH>(a, slices.a, row + 16 * m, step);
#pragma unroll
            for (u32 n = 0; n < 4; n++) {
                const u32 own[2] = {b[n / 2][n % 2 * 2], b[n / 2][n % 2 * 2 + 1]};
                multiply_add_bf16(sums.v[m][n], a, own);
            }
        }
    }
}

// Sums over depths from `start` to `end` of the tile whose first row and column are `row` and `col`; `start` is a multiple
// of 4, and so is `end` unless it is the depth of the product. Call with all threads; shared memory is free after a barrier.
template <bool A_BY_DEPTH, bool B_BY_DEPTH, class A, class B>
__device__ inline WarpSums multiply_bf16(SlicePair (&stages)[2], const A& a, const B& b, u32 row, u32 col, u32 start, u32 end) {
    WarpSums sums = {};
    Load from_a = read_slice<A_BY_DEPTH>(a, row, start);
    Load from_b = read_slice<B_BY_DEPTH>(b, col, start);
    store_slice<A_BY_DEPTH>(stages[0].a, from_a);
    store_slice<B_BY_DEPTH>(stages[0].b, from_b);
    __syncthreads();
    u32 stage = 0;
    for (u32 next = start + SLICE; next < end; next += SLICE) {
        from_a = read_slice<A_BY_DEPTH>(a, row, next);
        from_b = read_slice<B_BY_DEPTH>(b, col, next);
        add_slice<A_BY_DEPTH, B_BY_DEPTH>(sums, stages[stage]);
        stage ^= 1;
        store_slice<A_BY_DEPTH>(stages[stage].a, from_a);
        store_slice<B_BY_DEPTH>(stages[stage].b, from_b);
        __syncthreads();
    }
    add_slice<A_BY_DEPTH, B_BY_DEPTH>(sums, stages[stage]);
    return sums;
}
