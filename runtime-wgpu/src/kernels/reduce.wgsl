// Shared part: sums over a workgroup of 64 invocations, in a fixed tree order.

const LANES: u32 = 64u;

var<workgroup> partial_sums: array<f32, LANES>;

// Σ value over the workgroup, given to every invocation. Call from uniform control flow.
fn group_sum(value: f32, lane: u32) -> f32 {
    partial_sums[lane] = value;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            partial_sums[lane] += partial_sums[lane + width];
        }
        workgroupBarrier();
    }
    return workgroupUniformLoad(&partial_sums[0]);
}
