// nesterov_momentum: (m in place, g, clip[], mu[]) → u: m ← μ·m + clip·g, u = clip·g + μ·m. One invocation per element.

struct Params { base: u32, n: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> m: array<f32>;  // [n]
@group(0) @binding(2) var<storage, read_write> u: array<f32>;  // [n]
@group(0) @binding(3) var<storage, read> g: array<f32>;        // [n]
@group(0) @binding(4) var<storage, read> clip: array<f32>;     // []
@group(0) @binding(5) var<storage, read> mu: array<f32>;       // []

@compute @workgroup_size(256)
fn nesterov_momentum(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    if !finite(clip[0]) {
        u[i] = 0.0;
        return;
    }
    let grad = clip[0] * g[i];
    let momentum = mu[0] * m[i] + grad;
    m[i] = momentum;
    u[i] = grad + mu[0] * momentum;
}
