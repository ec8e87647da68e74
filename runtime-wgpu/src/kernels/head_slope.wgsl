// head_cross_entropy_grad, first stage, for a chunk of rows: (x[n,d], e[v,d], targets[n], lse[n], dnll[n]) →
// dz[chunk, v] = (e^(ℓ - lse) - 1[target])·dnll·(1 - (ℓ/cap)²). One workgroup per tile. After head_tile.wgsl.

struct Params {
    base: u32,
    rows: u32, cols: u32, depth: u32,  // rows of the chunk, v, d
    tiles: u32,                        // tiles along the vocabulary
    first_row: u32,                    // of the chunk
    b_offset: u32, b_l: u32, b_j: u32,
    bits: u32, row_words: u32,
    cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;          // [n, d]
@group(0) @binding(3) var<storage, read> targets: array<i32>;    // [n]
@group(0) @binding(4) var<storage, read> lse: array<f32>;        // [n]
@group(0) @binding(5) var<storage, read> dnll: array<f32>;       // [n]
@group(0) @binding(6) var<storage, read_write> dz: array<f32>;   // [rows, v]

@compute @workgroup_size(256)
fn head_slope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = params.base + group.x;
    let row = tile / params.tiles * TILE;
    let col = tile % params.tiles * TILE;
    let products = multiply(row, col, params.depth, lane);
    let j = col + 4u * (lane % 16u);
    for (var i = 0u; i < 4u; i++) {
        let at = row + 4u * (lane / 16u) + i;
        if at >= params.rows {
            continue;
        }
        let token = params.first_row + at;
        let logits = squash(products[i]);
        let share = logits / params.cap;
        let hit = vec4(j) + vec4(0u, 1u, 2u, 3u) == vec4(u32(targets[token]));
        let p = exp(logits - lse[token]) - select(vec4(0.0), vec4(1.0), hit);
        let slopes = p * dnll[token] * (1.0 - share * share);
        for (var k = 0u; k < 4u && j + k < params.cols; k++) {
            dz[at * params.cols + j + k] = slopes[k];
        }
    }
}
