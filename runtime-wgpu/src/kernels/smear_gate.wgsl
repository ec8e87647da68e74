// smear_gate: (x[n,d], gate[d]) → (1-g)⊙x_t + g⊙x_{t-1}, g = sigmoid(gate), zeros before the first of each window of
// seq rows. One invocation per element. After sigmoid.wgsl.

struct Params { base: u32, n: u32, d: u32, seq: u32 }  // n: elements

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n, d]
@group(0) @binding(2) var<storage, read> gate: array<f32>;     // [d]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;  // [n, d]

@compute @workgroup_size(256)
fn smear_gate(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    let g = sigmoid(gate[i % params.d]);
    var before = 0.0;
    if i / params.d % params.seq != 0u {
        before = x[i - params.d];
    }
    y[i] = g.y * x[i] + g.x * before;
}
