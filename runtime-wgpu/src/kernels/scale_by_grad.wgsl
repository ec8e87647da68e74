// scale_by_grad, first stage: (x[n], s[], dy[n]) → (dx[n], partials[pieces]), dx = s·dy, partials = Σ x·dy of every piece
// of 2048 elements, a workgroup each. After total.wgsl; sums.wgsl joins the partial sums.

struct Params { base: u32, n: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;               // [n]
@group(0) @binding(2) var<storage, read> s: array<f32>;               // []
@group(0) @binding(3) var<storage, read> dy: array<f32>;              // [n]
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;        // [n]
@group(0) @binding(5) var<storage, read_write> partials: array<f32>;  // [pieces]

@compute @workgroup_size(256)
fn scale_by_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let piece = params.base + group.x;
    let end = min((piece + 1u) * PIECE, params.n);
    var sum = 0.0;
    for (var i = piece * PIECE + lane; i < end; i += TOTAL_LANES) {
        dx[i] = s[0] * dy[i];
        sum += x[i] * dy[i];
    }
    let total = group_total(sum, lane);
    if lane == 0u {
        partials[piece] = total;
    }
}
