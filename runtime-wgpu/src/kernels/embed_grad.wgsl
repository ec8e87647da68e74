// Second stage of embed_grad: (order[n], sorted i32[n], dy[n,d]) → dtable[v,d]: row r is the sum of the rows of dy whose
// id is r, in order of occurrence; zero where there is none. A workgroup takes 128 columns of one row of the table and
// finds its segment of the sorted ids by bisection, so a table much larger than the batch costs little more than its
// zeros. Four rows are loaded ahead of their additions: frequent ids would wait for memory otherwise.

struct Params { base: u32, n: u32, d: u32 }

const COLUMNS: u32 = 128u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> order: array<u32>;         // [n]
@group(0) @binding(2) var<storage, read> sorted: array<i32>;        // [n], ascending
@group(0) @binding(3) var<storage, read> dy: array<f32>;            // [n, d]
@group(0) @binding(4) var<storage, read_write> dtable: array<f32>;  // [v, d]

// Number of ids below `id`.
fn lower_bound(id: i32) -> u32 {
    var low = 0u;
    var high = params.n;
    while low < high {
        let middle = (low + high) / 2u;
        if sorted[middle] < id {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size(128)
fn embed_grad(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tiles = (params.d + COLUMNS - 1u) / COLUMNS;
    let index = params.base + group.x;
    let row = index / tiles;
    let c = index % tiles * COLUMNS + lane;
    if c >= params.d {
        return;
    }
    var k = lower_bound(i32(row));
    let end = lower_bound(i32(row) + 1);
    var sum = 0.0;
    for (; k + 4u <= end; k += 4u) {
        let x0 = dy[order[k] * params.d + c];
        let x1 = dy[order[k + 1u] * params.d + c];
        let x2 = dy[order[k + 2u] * params.d + c];
        let x3 = dy[order[k + 3u] * params.d + c];
        sum = (((sum + x0) + x1) + x2) + x3;
    }
    for (; k < end; k += 1u) {
        sum += dy[order[k] * params.d + c];
    }
    dtable[row * params.d + c] = sum;
}
