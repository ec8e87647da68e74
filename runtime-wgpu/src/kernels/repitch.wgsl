// repitch: x[rows, from] → y[rows, to]: rows cut or continued with zeros. One invocation per element of y. It brings
// heads of odd widths to whole vectors, and back.

struct Params { base: u32, n: u32, from_width: u32, to_width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // [n / to_width, from_width]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // [n / to_width, to_width]

@compute @workgroup_size(256)
fn repitch(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    let row = i / params.to_width;
    let c = i % params.to_width;
    var value = 0.0;
    if c < params.from_width {
        value = x[row * params.from_width + c];
    }
    y[i] = value;
}
