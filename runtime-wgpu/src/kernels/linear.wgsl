// linear: y(i,j) from Σ_l a(i,l)·b(l,j). One workgroup per tile of y; transposition is a matter of strides.
// After tile_*.wgsl, tile.wgsl, operand_f32.wgsl or packed.wgsl and operand_packed.wgsl, and one of store_*.wgsl.

struct Params {
    base: u32,
    rows: u32, cols: u32, depth: u32,
    tiles: u32,                  // tiles in a row of tiles
    accumulate: u32,
    a_offset: u32, b_offset: u32, y_offset: u32,
    a_i: u32, a_l: u32,          // a(i,l) at a_offset + i·a_i + l·a_l
    b_l: u32, b_j: u32,
    bits: u32, row_words: u32,   // of a packed operand
    slope: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [rows, cols] from y_offset

fn load_a(i: u32, l: u32) -> f32 {
    if i >= params.rows || l >= params.depth {
        return 0.0;
    }
    return a[params.a_offset + i * params.a_i + l * params.a_l];
}

fn a_by_depth() -> bool {
    return params.a_l == 1u;
}

@compute @workgroup_size(256)
fn linear(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = params.base + group.x;
    let row = tile / params.tiles * TILE;
    let col = tile % params.tiles * TILE;
    let sums = multiply(row, col, params.depth, lane);
    for (var at = 0u; at < ACCUMULATORS; at++) {
        let group_of_rows = at / (4u * SPAN);
        let i = row + 4u * (16u * group_of_rows + lane / 16u) + at / SPAN % 4u;
        let j = col + 4u * (16u * (at % SPAN) + lane % 16u);
        if i >= params.rows {
            continue;
        }
        for (var k = 0u; k < 4u && j + k < params.cols; k++) {
            store(params.y_offset + i * params.cols + j + k, j + k, sums[at][k]);
        }
    }
}
