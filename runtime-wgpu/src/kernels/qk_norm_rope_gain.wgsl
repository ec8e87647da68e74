// qk_norm_rope_gain: x[n,h] → y[chunks,h], the sums of chunks of rows; launched again over y until one row is left. One
// workgroup per chunk and column, as there are few columns and many rows. After reduce.wgsl.

struct Params { base: u32, n: u32, heads: u32, rows: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, heads]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [chunks, heads]

@compute @workgroup_size(64)
fn qk_norm_rope_gain(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = params.base + group.x;
    let first = index / params.heads * params.rows;
    let last = min(first + params.rows, params.n);
    var sum = 0.0;
    for (var row = first + lane; row < last; row += LANES) {
        sum += x[row * params.heads + index % params.heads];
    }
    let total = group_sum(sum, lane);
    if lane == 0u {
        y[index] = total;
    }
}
