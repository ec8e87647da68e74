// linear for very few rows: y(i,j) = Σ_l a(i,l)·b(l,j) with the depth contiguous in both operands. One workgroup per
// result, strided over the depth: a tile would leave most of its invocations idle, and the weights are read once anyway.
// After reduce.wgsl, operand_f32.wgsl or packed.wgsl and operand_packed.wgsl, and one of store_*.wgsl.

struct Params {
    base: u32,
    cols: u32, depth: u32,
    accumulate: u32,
    b_offset: u32, b_l: u32, b_j: u32,
    bits: u32, row_words: u32,
    slope: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;        // [rows, depth]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, cols]

@compute @workgroup_size(64)
fn linear_row(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let at = params.base + group.x;
    let i = at / params.cols;
    let j = at % params.cols;
    var sum = 0.0;
    for (var l = lane; l < params.depth; l += LANES) {
        sum += a[i * params.depth + l] * load_b(l, j);
    }
    let total = group_sum(sum, lane);
    if lane == 0u {
        store(at, j, total);
    }
}
