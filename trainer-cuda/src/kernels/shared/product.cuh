// What every kernel of a product y(i,j) from Σ_l a(i,l)·b(l,j) takes: its scalars, operands and what becomes of a result.

#pragma once

#include "shared/operand.cuh"

// Scalars of all; the host passes them as so many words.
struct Product {
    u32 rows, cols, depth;
    u32 tiles;                         // tiles in a row of tiles
    u32 accumulate;                    // whether the product is added to y
    u32 a_offset, b_offset, y_offset;  // floats before the first entry
    u32 a_i, a_l;                      // a(i,l) at a_offset + i·a_i + l·a_l
    u32 b_l, b_j;                      // the same of b
    u32 bits, row_words;               // of a packed operand
    float slope;                       // of the activation
    static constexpr const char* LETTERS = "uuuuuuuuuuuuuuf";
};

// Scalars of the products of a stack; operands and results of its members lie one after the other.
struct StackedProduct {
    Product product;
    u32 blocks;  // of a member
    static constexpr const char* LETTERS = "uuuuuuuuuuuuuufu";

    // This block's member.
    __device__ Product member() const {
        Product p = product;
        const u32 index = blockIdx.x / blocks;
        p.a_offset += index * p.rows * p.depth;
        p.b_offset += index * p.depth * p.cols;
        p.y_offset += index * p.rows * p.cols;
        return p;
    }

    // Which of its member's tiles this block forms.
    __device__ u32 tile() const { return blockIdx.x % blocks; }
};

struct LeftOperand {
    const float* a;
    u32 rows, depth, a_i, a_l;

    __device__ float load(u32 i, u32 l) const { return i < rows && l < depth ? a[i * a_i + l * a_l] : 0.0f; }
    __device__ bool by_depth() const { return a_l == 1; }
};

__device__ inline LeftOperand left_of(const Product& p, const float* a) {
    return {a + p.a_offset, p.rows, p.depth, p.a_i, p.a_l};
}

__device__ inline PlainOperand right_of(const Product& p, const float* b) {
    return {b + p.b_offset, p.depth, p.cols, p.b_l, p.b_j};
}

__device__ inline PackedOperand right_of(const Product& p, const u32* packed) {
    return {packed, p.depth, p.cols, p.b_l == 1, p.bits, p.row_words};
}

// What becomes of the product for entry `at` of y, in column j; y holds floats or activations.
template <class Y> struct Store {
    Y* y;
    u32 accumulate;

    __device__ float value(u32 at, u32, float product) const { return accumulate ? y[at] + product : product; }
    __device__ void operator()(u32 at, u32 j, float product) const { y[at] = value(at, j, product); }
};

template <class Y> struct Activation {
    Y* y;
    float slope;

    __device__ float value(u32, u32, float product) const {
        const float leaky = product >= 0.0f ? product : slope * product;
        return leaky * leaky;
    }
    __device__ void operator()(u32 at, u32 j, float product) const { y[at] = value(at, j, product); }
};

template <class Y> struct AddScaled {
    Y* y;
    const Y* x;
    const float* scale;

    __device__ float value(u32 at, u32 j, float product) const { return x[at] + scale[j] * product; }
    __device__ void operator()(u32 at, u32 j, float product) const { y[at] = value(at, j, product); }
};

template <class Y> struct Residual {
    Y* y;
    const Y* x;

    __device__ float value(u32 at, u32, float product) const { return x[at] + product; }
    __device__ void operator()(u32 at, u32 j, float product) const { y[at] = value(at, j, product); }
};

template <class Y> Store(Y*, u32) -> Store<Y>;
template <class Y> Activation(Y*, float) -> Activation<Y>;
template <class Y> AddScaled(Y*, const Y*, const float*) -> AddScaled<Y>;
template <class Y> Residual(Y*, const Y*) -> Residual<Y>;
