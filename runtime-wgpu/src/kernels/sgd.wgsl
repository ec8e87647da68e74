// sgd: (p, m in place, g, clip[], lr_scale[]): m ← μ·m + clip·g, p ← p - lr·lr_scale·m. One invocation per element.

struct Params { base: u32, n: u32, lr: f32, momentum: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;   // [n]
@group(0) @binding(2) var<storage, read_write> m: array<f32>;   // [n]
@group(0) @binding(3) var<storage, read> g: array<f32>;         // [n]
@group(0) @binding(4) var<storage, read> clip: array<f32>;      // []
@group(0) @binding(5) var<storage, read> lr_scale: array<f32>;  // []

@compute @workgroup_size(256)
fn sgd(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n || !finite(clip[0]) {
        return;
    }
    let velocity = params.momentum * m[i] + clip[0] * g[i];
    m[i] = velocity;
    p[i] -= params.lr * lr_scale[0] * velocity;
}
