// xsa_grad: (y[n,h,c], v[n,g,c], dz[n,h,c]) → (dy[n,h,c], dv[n,g,c]). With a = y·v̂, b = dz·v̂: dy = dz - b·v̂,
// dv̂ = -Σ_group (b·y + a·dz), dv̂·v̂ = -2 Σ_group a·b, dv = (dv̂ - (dv̂·v̂)v̂)/‖v‖.
//
// 16 invocations to a key/value head of a token; the heads of its group in turn, so that dv is summed in a fixed order.
// An invocation keeps its share of dv̂ in dv itself, since a head may be of any width. After reduce_team.wgsl.

struct Params {
    base: u32,
    items: u32,  // n · g
    group: u32,  // h / g
    width: u32,  // c
}

const MIN_NORM: f32 = 1e-12;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;         // [n, h, c]
@group(0) @binding(2) var<storage, read> v: array<f32>;         // [n, g, c]
@group(0) @binding(3) var<storage, read> dz: array<f32>;        // [n, h, c]
@group(0) @binding(4) var<storage, read_write> dy: array<f32>;  // [n, h, c]
@group(0) @binding(5) var<storage, read_write> dv: array<f32>;  // [n, g, c]

@compute @workgroup_size(256)
fn xsa_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let team = lane / TEAM;
    let member = lane % TEAM;
    let item = (params.base + group.x) * TEAMS + team;
    // Teams beyond the last head repeat it, so that all reach the barriers, and store nothing.
    let owner = min(item, params.items - 1u);
    let valid = item < params.items;
    let v_row = owner * params.width;
    var square = 0.0;
    for (var c = member; c < params.width; c += TEAM) {
        square += v[v_row + c] * v[v_row + c];
    }
    let length = sqrt(team_sum(vec2(square, 0.0), team, member).x);
    let norm = max(length, MIN_NORM);
    var along = 0.0;
    for (var member_head = 0u; member_head < params.group; member_head++) {
        let row = (owner * params.group + member_head) * params.width;
        var sums = vec2<f32>();
        for (var c = member; c < params.width; c += TEAM) {
            sums += v[v_row + c] / norm * vec2(y[row + c], dz[row + c]);
        }
        let ab = team_sum(sums, team, member);
        along -= 2.0 * ab.x * ab.y;
        for (var c = member; c < params.width && valid; c += TEAM) {
            let unit = v[v_row + c] / norm;
            dy[row + c] = dz[row + c] - ab.y * unit;
            let share = ab.y * y[row + c] + ab.x * dz[row + c];
            if member_head == 0u {
                dv[v_row + c] = -share;
            } else {
                dv[v_row + c] -= share;
            }
        }
    }
    // A clamped norm does not depend on v.
    let inward = select(0.0, along, length > MIN_NORM);
    for (var c = member; c < params.width && valid; c += TEAM) {
        dv[v_row + c] = (dv[v_row + c] - inward * (v[v_row + c] / norm)) / norm;
    }
}
