// Second stage of column_sums.wgsl. column_sums_join: (partials[chunks, width]) → y[width], the sums over chunks;
// column_sums_join_pair: the same for width = 2d into a[d] and b[d]. A workgroup takes 16 columns; for each, 16
// invocations sum every 16th chunk, and one adds those up in order.

struct Params { base: u32, chunks: u32, width: u32 }

const COLUMNS: u32 = 16u;
const PARTS: u32 = 16u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partials: array<f32>;  // [chunks, width]
@group(0) @binding(2) var<storage, read_write> y: array<f32>;   // [width]; pair: [width/2]
@group(0) @binding(3) var<storage, read_write> b: array<f32>;   // pair: [width/2]

var<workgroup> parts: array<f32, 256>;  // [PARTS, COLUMNS]

// Sum of column `column`, valid in the first COLUMNS invocations.
fn joined(column: u32, lane: u32) -> f32 {
    var sum = 0.0;
    if column < params.width {
        for (var chunk = lane / COLUMNS; chunk < params.chunks; chunk += PARTS) {
            sum += partials[chunk * params.width + column];
        }
    }
    parts[lane] = sum;
    workgroupBarrier();
    if lane < COLUMNS {
        for (var part = 1u; part < PARTS; part += 1u) {
            sum += parts[part * COLUMNS + lane];
        }
    }
    return sum;
}

@compute @workgroup_size(256)
fn column_sums_join(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = (params.base + group.x) * COLUMNS + lane % COLUMNS;
    let sum = joined(column, lane);
    if lane < COLUMNS && column < params.width {
        y[column] = sum;
    }
}

@compute @workgroup_size(256)
fn column_sums_join_pair(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = (params.base + group.x) * COLUMNS + lane % COLUMNS;
    let sum = joined(column, lane);
    if lane >= COLUMNS || column >= params.width {
        return;
    }
    let d = params.width / 2u;
    if column < d {
        y[column] = sum;
    } else {
        b[column - d] = sum;
    }
}
