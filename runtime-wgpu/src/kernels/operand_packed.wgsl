// Shared part: the right operand of a product as packed rows of `bits`-bit integers with one fp16 scale each; see
// tile.wgsl. A row of the weight is a column of the product (b_l = 1, the layer's own map) or its depth (b_l = 0).
// After packed.wgsl.

@group(0) @binding(2) var<storage, read> packed: array<u32>;

fn load_b(l: u32, j: u32) -> f32 {
    if l >= params.depth || j >= params.cols {
        return 0.0;
    }
    if params.b_l == 1u {
        return packed_weight(j, l, params.cols, params.bits, params.row_words);
    }
    return packed_weight(l, j, params.depth, params.bits, params.row_words);
}

fn b_by_depth() -> bool {
    return params.b_l == 1u;
}
