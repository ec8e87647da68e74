// Shared part: sums over a workgroup of 256 invocations in a fixed tree order, and the piece of a long vector that one
// such workgroup takes. Trees keep the rounding error of a sum of millions of terms at a few units in the last place.

const TOTAL_LANES: u32 = 256u;

// Elements of a piece: eight strided, hence coalesced, loads per invocation.
const PIECE: u32 = 2048u;

var<workgroup> totals: array<f32, TOTAL_LANES>;

// Σ value over the workgroup, valid in invocation 0. Call once, from uniform control flow.
fn group_total(value: f32, lane: u32) -> f32 {
    totals[lane] = value;
    workgroupBarrier();
    for (var width = TOTAL_LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            totals[lane] += totals[lane + width];
        }
        workgroupBarrier();
    }
    return totals[0];
}
