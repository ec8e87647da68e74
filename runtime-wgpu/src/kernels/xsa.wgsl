// xsa: (y[n,h,c], v[n,g,c]) → z[n,h,c] = y - (y·v̂)v̂ with v̂ = v/max(‖v‖, 1e-12). 16 invocations to a query head of
// a token: heads are narrow and many. After reduce_team.wgsl.

struct Params {
    base: u32,
    items: u32,  // n · h
    group: u32,  // h / g
    width: u32,  // c
}

const MIN_NORM: f32 = 1e-12;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;        // [n, h, c]
@group(0) @binding(2) var<storage, read> v: array<f32>;        // [n, g, c]
@group(0) @binding(3) var<storage, read_write> z: array<f32>;  // [n, h, c]

@compute @workgroup_size(256)
fn xsa(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let team = lane / TEAM;
    let member = lane % TEAM;
    let item = (params.base + group.x) * TEAMS + team;
    // Teams beyond the last head repeat it, so that all reach the barriers.
    let head = min(item, params.items - 1u);
    let y_row = head * params.width;
    let v_row = head / params.group * params.width;
    var sums = vec2<f32>();
    for (var c = member; c < params.width; c += TEAM) {
        let value = v[v_row + c];
        sums += value * vec2(value, y[y_row + c]);
    }
    sums = team_sum(sums, team, member);
    if item >= params.items {
        return;
    }
    let norm = max(sqrt(sums.x), MIN_NORM);
    let along = sums.y / norm;
    for (var c = member; c < params.width; c += TEAM) {
        z[y_row + c] = y[y_row + c] - along * (v[v_row + c] / norm);
    }
}
