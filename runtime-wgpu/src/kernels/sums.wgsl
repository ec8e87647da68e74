// Sums of a whole vector in two stages. sum_pieces, square_pieces: (x[n]) → (y[pieces]), Σx or Σx² of every piece of
// 2048 elements, a workgroup each. sum_all: (x[n]) → (y[]), factor·Σx by one workgroup, for partial sums and short
// vectors. After total.wgsl.

struct Params { base: u32, n: u32, factor: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [pieces] or []

@compute @workgroup_size(256)
fn sum_pieces(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = params.base + group.x;
    let end = min((piece + 1u) * PIECE, params.n);
    var sum = 0.0;
    for (var i = piece * PIECE + lane; i < end; i += TOTAL_LANES) {
        sum += x[i];
    }
    let total = group_total(sum, lane);
    if lane == 0u {
        y[piece] = total;
    }
}

@compute @workgroup_size(256)
fn square_pieces(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = params.base + group.x;
    let end = min((piece + 1u) * PIECE, params.n);
    var sum = 0.0;
    for (var i = piece * PIECE + lane; i < end; i += TOTAL_LANES) {
        sum += x[i] * x[i];
    }
    let total = group_total(sum, lane);
    if lane == 0u {
        y[piece] = total;
    }
}

@compute @workgroup_size(256)
fn sum_all(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.n; i += TOTAL_LANES) {
        sum += x[i];
    }
    let total = group_total(sum, lane);
    if lane == 0u {
        y[0] = params.factor * total;
    }
}
