// add: (a[n], b[n]) → a + b. accumulate: (sum[n], x[n], keep[]) → keep·sum + x in place; keep = 0 ignores the sum.
// One invocation per element.

struct Params { base: u32, n: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;         // [n]
@group(0) @binding(2) var<storage, read> b: array<f32>;         // add: [n]; accumulate: keep[]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;   // [n]

@compute @workgroup_size(256)
fn add(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i < params.n {
        y[i] = a[i] + b[i];
    }
}

@compute @workgroup_size(256)
fn accumulate(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    let keep = b[0];
    if keep == 0.0 {
        y[i] = a[i];
    } else {
        y[i] = keep * y[i] + a[i];
    }
}
