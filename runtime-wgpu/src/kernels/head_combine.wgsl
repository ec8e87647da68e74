// head_cross_entropy, second stage: (partials[n, tiles], hits[n]) → (nll[n], lse[n]). One invocation per row, tiles in
// order.

struct Params { base: u32, n: u32, tiles: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec2<f32>>;   // [n, tiles]: largest, sum
@group(0) @binding(2) var<storage, read> hits: array<f32>;             // [n]
@group(0) @binding(3) var<storage, read_write> nll: array<f32>;        // [n]
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;        // [n]

@compute @workgroup_size(64)
fn head_combine(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = (params.base + group.x) * 64u + lane;
    if row >= params.n {
        return;
    }
    var largest = partials[row * params.tiles].x;
    for (var tile = 1u; tile < params.tiles; tile++) {
        largest = max(largest, partials[row * params.tiles + tile].x);
    }
    var sum = 0.0;
    for (var tile = 0u; tile < params.tiles; tile++) {
        let partial = partials[row * params.tiles + tile];
        sum += partial.y * exp(partial.x - largest);
    }
    // The difference to the target is formed before the logarithm joins: both logits may be large.
    nll[row] = (largest - hits[row]) + log(sum);
    lse[row] = largest + log(sum);
}
