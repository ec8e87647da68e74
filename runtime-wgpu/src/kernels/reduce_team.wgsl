// Shared part: sums over teams of 16 invocations, 16 teams to a workgroup of 256, for ops that reduce one head.
// Two barriers, whatever the width of a head.

const TEAM: u32 = 16u;
const TEAMS: u32 = 16u;

// [member][team]: the members of all teams read side by side.
var<workgroup> team_sums: array<array<vec2<f32>, 16>, 16>;

// Two sums over the invocation's team, given to all its members: a tree of fixed shape. Call from uniform control flow.
fn team_sum(value: vec2<f32>, team: u32, member: u32) -> vec2<f32> {
    workgroupBarrier();
    team_sums[member][team] = value;
    workgroupBarrier();
    var sum = vec2<f32>();
    for (var i = 0u; i < TEAM; i += 4u) {
        sum += (team_sums[i][team] + team_sums[i + 1u][team])
            + (team_sums[i + 2u][team] + team_sums[i + 3u][team]);
    }
    return sum;
}
