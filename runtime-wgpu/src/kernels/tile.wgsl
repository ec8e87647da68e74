// Shared part: a tile of a matrix product, Σ_l a(i,l)·b(l,j), by 256 invocations as 16 × 16.
//
// After tile_64.wgsl or tile_128.wgsl (SPAN) and beside an operand part that defines load_a(i,l), load_b(l,j), zero
// outside, and a_by_depth(), b_by_depth(): whether neighbours along the depth are neighbours in memory.
// Both operands pass through workgroup memory in slices of DEPTH, as vec4 along the result, so that an invocation stores
// a whole vector: stores to single components may touch the others.
// Invocation (ty, tx) owns rows 4·(16r + ty) + 0..4 and columns 4·(16c + tx) + 0..4 for r, c < SPAN.

const TILE: u32 = 64u * SPAN;
const DEPTH: u32 = 16u;
const ACCUMULATORS: u32 = 4u * SPAN * SPAN;

var<workgroup> slice_a: array<vec4<f32>, 256u * SPAN>;  // [DEPTH][TILE/4]
var<workgroup> slice_b: array<vec4<f32>, 256u * SPAN>;

// The results of one invocation: entry (4r + i)·SPAN + c holds row 4·(16r + ty) + i, columns 4·(16c + tx) + 0..4.
alias Accumulators = array<vec4<f32>, ACCUMULATORS>;

// Which vector of a slice an invocation loads: (position along the depth, group of four along the result).
fn slice_position(lane: u32, span: u32, by_depth: bool) -> vec2<u32> {
    if by_depth {
        return vec2(lane % DEPTH, lane / DEPTH + 16u * span);
    }
    return vec2(lane / 16u, lane % 16u + 16u * span);
}

// Call from uniform control flow.
fn multiply(row: u32, col: u32, depth: u32, lane: u32) -> Accumulators {
    var sums: Accumulators;
    let ty = lane / 16u;
    let tx = lane % 16u;
    for (var start = 0u; start < depth; start += DEPTH) {
        for (var span = 0u; span < SPAN; span++) {
            let at = slice_position(lane, span, a_by_depth());
            let i = row + 4u * at.y;
            let l = start + at.x;
            slice_a[at.x * 16u * SPAN + at.y] =
                vec4(load_a(i, l), load_a(i + 1u, l), load_a(i + 2u, l), load_a(i + 3u, l));
        }
        for (var span = 0u; span < SPAN; span++) {
            let at = slice_position(lane, span, b_by_depth());
            let j = col + 4u * at.y;
            let l = start + at.x;
            slice_b[at.x * 16u * SPAN + at.y] =
                vec4(load_b(l, j), load_b(l, j + 1u), load_b(l, j + 2u), load_b(l, j + 3u));
        }
        workgroupBarrier();
        for (var l = 0u; l < DEPTH; l++) {
            var b: array<vec4<f32>, SPAN>;
            for (var c = 0u; c < SPAN; c++) {
                b[c] = slice_b[(l * SPAN + c) * 16u + tx];
            }
            for (var r = 0u; r < SPAN; r++) {
                let a = slice_a[(l * SPAN + r) * 16u + ty];
                for (var c = 0u; c < SPAN; c++) {
                    let at = 4u * r * SPAN + c;
                    sums[at] += a.x * b[c];
                    sums[at + SPAN] += a.y * b[c];
                    sums[at + 2u * SPAN] += a.z * b[c];
                    sums[at + 3u * SPAN] += a.w * b[c];
                }
            }
        }
        workgroupBarrier();
    }
    return sums;
}
