// smear_gate_cached: (x[n,d], gate[d], cache[w,d], position i32[1]) → (1-g)⊙x_i + g⊙x_{i-1}, g = sigmoid(gate); the
// predecessor of the first row is row position - 1 of the cache, or zeros. One invocation per element. After sigmoid.wgsl.

struct Params { base: u32, n: u32, d: u32 }  // n: elements

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;         // [n, d]
@group(0) @binding(2) var<storage, read> gate: array<f32>;      // [d]
@group(0) @binding(3) var<storage, read> cache: array<f32>;     // [w, d]
@group(0) @binding(4) var<storage, read> position: array<u32>;  // [1]
@group(0) @binding(5) var<storage, read_write> y: array<f32>;   // [n, d]

@compute @workgroup_size(256)
fn smear_gate_cached(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    var before = 0.0;
    if i >= params.d {
        before = x[i - params.d];
    } else if position[0] > 0u {
        before = cache[(position[0] - 1u) * params.d + i];
    }
    let g = sigmoid(gate[i % params.d]);
    y[i] = g.y * x[i] + g.x * before;
}
