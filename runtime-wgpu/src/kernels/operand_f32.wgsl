// Shared part: the right operand of a product as plain floats; see tile.wgsl.

@group(0) @binding(2) var<storage, read> b: array<f32>;  // b(l,j) at b_offset + l·b_l + j·b_j

fn load_b(l: u32, j: u32) -> f32 {
    if l >= params.depth || j >= params.cols {
        return 0.0;
    }
    return b[params.b_offset + l * params.b_l + j * params.b_j];
}

fn b_by_depth() -> bool {
    return params.b_l == 1u;
}
