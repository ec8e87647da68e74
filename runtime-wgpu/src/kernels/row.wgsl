// row: (w[r,d]) → w[index]. row_grad: (dy[d]) → [r,d], zero but for that row. One invocation per element of the result.

struct Params { base: u32, n: u32, d: u32, start: u32 }  // start = index·d

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;        // row: [r, d]; row_grad: [d]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;  // row: [d]; row_grad: [r, d]

@compute @workgroup_size(256)
fn row(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = x[params.start + i];
    }
}

@compute @workgroup_size(256)
fn row_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    if i >= params.start && i - params.start < params.d {
        y[i] = x[i - params.start];
    } else {
        y[i] = 0.0;
    }
}
