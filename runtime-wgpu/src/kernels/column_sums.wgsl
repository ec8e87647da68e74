// Shared part: first of two stages of the gradients that sum over the rows of matrices [n, d].
//
// A workgroup takes 64 columns, one per invocation, hence coalesced, over a chunk of 32 rows in order; its sums go to
// partials[chunk, SUMS, d], which column_sums_join.wgsl adds up. Chunks are short so that small batches fill a GPU too.
//
// The op's own file, after this one, declares `partials`, `params` (with `n` and `d`), the constant SUMS (1 or 2 sums
// per column), what it loads once per column (`Channel`, `channel`), and `terms`, which writes the elementwise results
// of one entry and returns its terms of the sums.

const COLUMNS: u32 = 64u;
const ROWS: u32 = 32u;

@compute @workgroup_size(64)
fn column_sums(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tiles = (params.d + COLUMNS - 1u) / COLUMNS;
    let index = params.base + group.x;
    let chunk = index / tiles;
    let c = index % tiles * COLUMNS + lane;
    if c >= params.d {
        return;
    }
    let of_column = channel(c);
    let end = min((chunk + 1u) * ROWS, params.n);
    var sums = vec2<f32>();
    for (var row = chunk * ROWS; row < end; row += 1u) {
        sums += terms(row, row * params.d + c, of_column);
    }
    let at = chunk * SUMS * params.d + c;
    partials[at] = sums.x;
    if SUMS == 2u {
        partials[at + params.d] = sums.y;
    }
}
