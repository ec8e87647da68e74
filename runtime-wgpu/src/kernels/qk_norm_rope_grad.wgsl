// qk_norm_rope_grad: (x, gain?, dy) → dx, and dots[n,h] = rotated·dy, which qk_norm_rope_gain.wgsl sums to dgain[h].
// After qk_norm_rope.wgsl.

@group(0) @binding(5) var<storage, read> dy: array<f32>;          // [n, h, c]
@group(0) @binding(6) var<storage, read_write> dots: array<f32>;  // [n, h]

// Channels i and i + half of dy, turned back.
fn turned_back(row: u32, head: u32, i: u32) -> vec2<f32> {
    let turn = angle(head, i);
    let a = dy[row + i];
    let b = dy[row + params.half + i];
    return vec2(a * turn.x - b * turn.y, b * turn.x + a * turn.y);
}

@compute @workgroup_size(256)
fn qk_norm_rope_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let team = lane / TEAM;
    let member = lane % TEAM;
    let item = (params.base + group.x) * TEAMS + team;
    let head = min(item, params.items - 1u);
    let row = head * params.width;
    // Σ x² and Σ x·u, u = dy turned back: a rotation keeps products, so the second is rotated·dy but for 1/rms.
    var sums = vec2<f32>();
    for (var i = member; i < params.half; i += TEAM) {
        let pair = vec2(x[row + i], x[row + params.half + i]);
        sums += vec2(dot(pair, pair), dot(pair, turned_back(row, head, i)));
    }
    for (var c = 2u * params.half + member; c < params.width; c += TEAM) {
        sums += x[row + c] * vec2(x[row + c], dy[row + c]);
    }
    sums = team_sum(sums, team, member);
    if item >= params.items {
        return;
    }
    let r = inverseSqrt(sums.x / f32(params.width) + EPSILON);
    let outer = r * gain_of(head);
    let inner = r * r * (sums.y / f32(params.width));
    for (var i = member; i < params.half; i += TEAM) {
        let u = turned_back(row, head, i);
        y[row + i] = outer * (u.x - x[row + i] * inner);
        y[row + params.half + i] = outer * (u.y - x[row + params.half + i] * inner);
    }
    for (var c = 2u * params.half + member; c < params.width; c += TEAM) {
        y[row + c] = outer * (dy[row + c] - x[row + c] * inner);
    }
    if member == 0u {
        dots[head] = r * sums.y;
    }
}
