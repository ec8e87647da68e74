// adamw: (p, m, v in place, g, clip[], lr_scale[], bias1[], bias2[]) with η = lr·lr_scale, g ← clip·g:
// m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², p ← (1-η·wd)p - η/bias1 · m/(√v/√bias2 + ε). One invocation per element.

struct Params {
    base: u32,
    n: u32,
    lr: f32,
    weight_decay: f32,
    beta1: f32,
    rest1: f32,  // 1-β₁
    beta2: f32,
    rest2: f32,  // 1-β₂
    epsilon: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> p: array<f32>;    // [n]
@group(0) @binding(2) var<storage, read_write> m: array<f32>;    // [n]
@group(0) @binding(3) var<storage, read_write> v: array<f32>;    // [n]
@group(0) @binding(4) var<storage, read> g: array<f32>;          // [n]
@group(0) @binding(5) var<storage, read> clip: array<f32>;       // []
@group(0) @binding(6) var<storage, read> lr_scale: array<f32>;   // []
@group(0) @binding(7) var<storage, read> bias1: array<f32>;      // []
@group(0) @binding(8) var<storage, read> bias2: array<f32>;      // []

@compute @workgroup_size(256)
fn adamw(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n || !finite(clip[0]) {
        return;
    }
    let lr = params.lr * lr_scale[0];
    let grad = clip[0] * g[i];
    let first = params.beta1 * m[i] + params.rest1 * grad;
    let second = params.beta2 * v[i] + params.rest2 * grad * grad;
    m[i] = first;
    v[i] = second;
    let step = lr / bias1[0] * first / (sqrt(second) / sqrt(bias2[0]) + params.epsilon);
    // Decay as a subtraction: 1-η·wd itself would lose most digits of a small η·wd.
    p[i] -= lr * params.weight_decay * p[i] + step;
}
