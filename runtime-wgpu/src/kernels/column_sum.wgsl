// column_sum: x[n,m] → y[chunks,m], y[i] = Σ of the rows i·rows … (i+1)·rows - 1. One workgroup per chunk and column, for few
// columns; a second launch over y leaves one row. After reduce.wgsl.

struct Params { base: u32, n: u32, m: u32, rows: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, m]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [chunks, m]

@compute @workgroup_size(64)
fn column_sum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = params.base + group.x;
    let first = index / params.m * params.rows;
    let last = min(first + params.rows, params.n);
    var sum = 0.0;
    for (var row = first + lane; row < last; row += LANES) {
        sum += x[row * params.m + index % params.m];
    }
    let total = group_sum(sum, lane);
    if lane == 0u {
        y[index] = total;
    }
}
