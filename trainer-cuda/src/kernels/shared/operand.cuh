// The right operand of a product, b(l,j) for l < depth and j < cols, zero outside: plain floats or packed rows.

#pragma once

#include "shared/packed.cuh"

// b(l,j) at b + l·along_depth + j·along_cols.
struct PlainOperand {
    const float* b;
    u32 depth, cols, along_depth, along_cols;

    __device__ float load(u32 l, u32 j) const {
        return l < depth && j < cols ? b[l * along_depth + j * along_cols] : 0.0f;
    }

    // Whether neighbours along the depth are neighbours in memory.
    __device__ bool by_depth() const { return along_depth == 1; }
};

// Rows of `bits`-bit integers: a row of the weight is a column of the product (the layer's own map) or its depth.
struct PackedOperand {
    const u32* packed;
    u32 depth, cols, row_is_col, bits, row_words;

    __device__ float load(u32 l, u32 j) const {
        if (l >= depth || j >= cols) return 0.0f;
        return row_is_col ? packed_weight(packed, j, l, cols, bits, row_words)
                          : packed_weight(packed, l, j, depth, bits, row_words);
    }

    __device__ bool by_depth() const { return row_is_col != 0; }
};
