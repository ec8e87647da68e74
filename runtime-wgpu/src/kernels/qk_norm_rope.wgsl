// qk_norm_rope: (x[n,h,c], gain[h]?) → y[n,h,c] = gain · R_t(x/√(mean x² + ε)), R_t the rotation of the first 2·half
// channels by the token's angles. 16 invocations to a head of a token: heads are narrow and many. After reduce_team.wgsl
// and place_in_window.wgsl or place_at.wgsl, which say where in its window a token stands.

struct Params {
    base: u32,
    items: u32,     // n · h
    heads: u32,     // h
    seq: u32,       // tokens of a window
    width: u32,     // c
    half: u32,      // rotated pairs: channels i and i + half
    has_gain: u32,
}

const EPSILON: f32 = 1.1920929e-7;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;            // [n, h, c]
@group(0) @binding(2) var<storage, read> gain: array<f32>;         // [h], or unused
@group(0) @binding(3) var<storage, read> angles: array<f32>;       // [seq, half, 2]: cos, sin
@group(0) @binding(4) var<storage, read_write> y: array<f32>;      // [n, h, c]; of the gradient: dx

// Cosine and sine of pair `i` of the token that head `head` of the list belongs to.
fn angle(head: u32, i: u32) -> vec2<f32> {
    let at = 2u * (place_of(head / params.heads) * params.half + i);
    return vec2(angles[at], angles[at + 1u]);
}

fn gain_of(head: u32) -> f32 {
    if params.has_gain != 0u {
        return gain[head % params.heads];
    }
    return 1.0;
}

@compute @workgroup_size(256)
fn qk_norm_rope(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let team = lane / TEAM;
    let member = lane % TEAM;
    let item = (params.base + group.x) * TEAMS + team;
    // Teams beyond the last head repeat it, so that all reach the barriers.
    let head = min(item, params.items - 1u);
    let row = head * params.width;
    var square = 0.0;
    for (var c = member; c < params.width; c += TEAM) {
        square += x[row + c] * x[row + c];
    }
    square = team_sum(vec2(square, 0.0), team, member).x;
    if item >= params.items {
        return;
    }
    let factor = gain_of(head) * inverseSqrt(square / f32(params.width) + EPSILON);
    for (var i = member; i < params.half; i += TEAM) {
        let turn = angle(head, i);
        let a = factor * x[row + i];
        let b = factor * x[row + params.half + i];
        y[row + i] = a * turn.x + b * turn.y;
        y[row + params.half + i] = b * turn.x - a * turn.y;
    }
    for (var c = 2u * params.half + member; c < params.width; c += TEAM) {
        y[row + c] = factor * x[row + c];
    }
}
