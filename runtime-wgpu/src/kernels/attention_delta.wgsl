// attention_delta: (dy[n,h,w], y[n,h,w]) → delta[n,h] = Σ dy·y; w in vectors of 4 channels. 16 invocations to a head of
// a token. After reduce_team.wgsl.

struct Params { base: u32, items: u32, width: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;         // [items, width]
@group(0) @binding(2) var<storage, read> y: array<vec4<f32>>;          // [items, width]
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;      // [items]

@compute @workgroup_size(256)
fn attention_delta(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let team = lane / TEAM;
    let member = lane % TEAM;
    let item = (params.base + group.x) * TEAMS + team;
    let first = min(item, params.items - 1u) * params.width;
    var sum = 0.0;
    for (var c = member; c < params.width; c += TEAM) {
        sum += dot(dy[first + c], y[first + c]);
    }
    let total = team_sum(vec2(sum, 0.0), team, member).x;
    if member == 0u && item < params.items {
        delta[item] = total;
    }
}
