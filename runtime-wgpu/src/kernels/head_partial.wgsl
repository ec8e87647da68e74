// head_cross_entropy, first stage: (x[n,d], e[v,d], targets[n]) → per row and tile of 64 vocabulary entries the largest
// logit and Σ e^(ℓ - largest); per row the target's logit. One workgroup per tile; no logit leaves it.
// After head_tile.wgsl.

struct Params {
    base: u32,
    rows: u32, cols: u32, depth: u32,  // n, v, d
    tiles: u32,                        // tiles along the vocabulary
    first_row: u32,
    b_offset: u32, b_l: u32, b_j: u32,
    bits: u32, row_words: u32,
    cap: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;                 // [n, d]
@group(0) @binding(3) var<storage, read> targets: array<i32>;           // [n]
@group(0) @binding(4) var<storage, read_write> partials: array<vec2<f32>>;  // [n, tiles]: largest, sum
@group(0) @binding(5) var<storage, read_write> hits: array<f32>;        // [n]

const LOWEST: f32 = -3.0e38;

@compute @workgroup_size(256)
fn head_partial(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = params.base + group.x;
    let row = tile / params.tiles * TILE;
    let col = tile % params.tiles * TILE;
    var logits = multiply(row, col, params.depth, lane);
    let ty = lane / 16u;
    let tx = lane % 16u;
    let j = vec4(col + 4u * tx) + vec4(0u, 1u, 2u, 3u);
    let inside = j < vec4(params.cols);
    // Slices of the operands are free now; entry 16·ty + tx takes one vector, a component for each of four rows.
    var largest = vec4(LOWEST);
    for (var i = 0u; i < 4u; i++) {
        logits[i] = select(vec4(LOWEST), squash(logits[i]), inside);
        let halves = max(logits[i].xy, logits[i].zw);
        largest[i] = max(halves.x, halves.y);
        let at = row + 4u * ty + i;
        if at < params.rows {
            let hit = j == vec4(u32(targets[at]));
            if any(hit & inside) {
                hits[at] = dot(select(vec4(0.0), logits[i], hit), vec4(1.0));
            }
        }
    }
    slice_a[lane] = largest;
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
        largest = max(largest, slice_a[16u * ty + k]);
    }
    var sums: vec4<f32>;
    for (var i = 0u; i < 4u; i++) {
        sums[i] = dot(select(vec4(0.0), exp(logits[i] - largest[i]), inside), vec4(1.0));
    }
    slice_b[lane] = sums;
    workgroupBarrier();
    if tx < 4u && row + lane % 16u + 4u * ty < params.rows {
        var total = 0.0;
        for (var k = 0u; k < 16u; k++) {
            total += slice_b[16u * ty + k][tx];
        }
        partials[(row + 4u * ty + tx) * params.tiles + tile % params.tiles] = vec2(largest[tx], total);
    }
}
