// muon_apply: (w[r,c] in place, o[r,c], lr_scale[]) with update = lr·√max(1,r/c), decay = lr·wd, both times lr_scale:
// w ← (1-decay)·w - update·o, or (1-decay)·(w - update·o). One invocation per element.

struct Params { base: u32, n: u32, update: f32, decay: f32, decay_first: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;   // [r, c]
@group(0) @binding(2) var<storage, read> o: array<f32>;         // [r, c]
@group(0) @binding(3) var<storage, read> lr_scale: array<f32>;  // []

@compute @workgroup_size(256)
fn muon_apply(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (params.base + group.x) * 256u + lane;
    if i >= params.n {
        return;
    }
    let step = params.update * lr_scale[0] * o[i];
    // Decay as a subtraction: 1-decay itself would lose most digits of a small decay.
    let decay = params.decay * lr_scale[0];
    if params.decay_first != 0u {
        w[i] -= decay * w[i] + step;
    } else {
        let moved = w[i] - step;
        w[i] = moved - decay * moved;
    }
}
