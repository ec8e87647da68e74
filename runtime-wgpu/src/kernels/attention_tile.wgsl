// Shared part of attention and its gradient: tiles of products of 32 rows of heads by 32 others, by 64 invocations.
//
// Invocation (row, column) of an 8×8 square owns the rows row + 8i and the columns column + 8j of a tile, i, j < 4:
// 16 products in registers for 8 vectors read from workgroup memory. A vector over j therefore holds every eighth
// column; the second product of attention sums over columns, so it takes them in that order. Rows of any width stream
// through workgroup memory 32 channels at a time; results are formed 64 channels (a chunk) to a workgroup, and heads
// wider than a chunk repeat the scores in several workgroups. 13 KiB of workgroup memory: several groups share a core.
//
// Every vector lies at its column xor its row, so that neither reads nor writes of 8 rows collide in a memory bank.
// The arrays are nested with constant outer indices, so that bounds checks cost one comparison for eight reads.

struct Params {
    base: u32,
    heads: u32,     // h
    group: u32,     // query heads on one key/value head
    seq: u32,       // tokens of a window
    width: u32,     // w: vectors of 4 channels in a head
    tiles: u32,     // tiles of 32 tokens in a window
    strands: u32,   // workgroups with the same tile: windows · heads · chunks
    chunks: u32,    // chunks of 64 channels in a head
    scale: f32,     // 1/√c
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;  // [n, h, w]
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;  // [n, h/group, w]
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;  // [n, h/group, w]

// Half the width of a tile: rows and columns of the square of invocations, vectors of channels that stream at a time.
const EIGHT: u32 = 8u;
const TILE: u32 = 32u;
// Vectors of a chunk.
const CHUNK: u32 = 16u;
// A score of nothing: below every score, and small enough to be multiplied by log₂ e.
const MASKED: f32 = -1e30;

// 8 rows of 8 vectors.
alias Slab = array<array<vec4<f32>, 8>, 8>;

// Either 32 channels of 32 rows (slabs 0 to 3) and of 32 columns (4 to 7), or a chunk of 32 rows (0 to 3, then 4 to 7).
var<workgroup> panel: array<Slab, 8>;
// Weights of a tile; vector `column` of a row holds the columns `column + 8j`.
var<workgroup> weights: array<Slab, 4>;

// What a workgroup computes: one tile of a window, one head, one chunk of channels.
struct Strand { tile: u32, window: u32, head: u32, chunk: u32 }

// Splits the index of a workgroup; `heads` are query heads or key/value heads.
fn strand_of(index: u32, tile: u32, heads: u32) -> Strand {
    let rest = index % params.strands;
    let chunk = rest % params.chunks;
    let head = rest / params.chunks % heads;
    return Strand(tile, rest / (params.chunks * heads), head, chunk);
}

// sum + m·x: four fused multiply-adds a component.
fn multiply_add(sum: vec4<f32>, m: mat4x4<f32>, x: vec4<f32>) -> vec4<f32> {
    let first = fma(m[0], vec4(x.x), sum);
    let second = fma(m[1], vec4(x.y), first);
    let third = fma(m[2], vec4(x.z), second);
    return fma(m[3], vec4(x.w), third);
}

// Whether token `t` of a window and vector `c` of a head exist.
fn exists(t: u32, c: u32) -> bool {
    return t < params.seq && c < params.width;
}

// Where vector `c` of head `head` lies for token `t` of window `window`.
fn offset(window: u32, t: u32, head: u32, heads: u32, c: u32) -> u32 {
    return ((window * params.seq + t) * heads + head) * params.width + c;
}

fn q_at(window: u32, t: u32, head: u32, c: u32) -> vec4<f32> {
    if exists(t, c) {
        return q[offset(window, t, head, params.heads, c)];
    }
    return vec4<f32>();
}

fn k_at(window: u32, t: u32, head: u32, c: u32) -> vec4<f32> {
    if exists(t, c) {
        return k[offset(window, t, head, params.heads / params.group, c)];
    }
    return vec4<f32>();
}

fn v_at(window: u32, t: u32, head: u32, c: u32) -> vec4<f32> {
    if exists(t, c) {
        return v[offset(window, t, head, params.heads / params.group, c)];
    }
    return vec4<f32>();
}

// Vector `c` of the tokens t + 8i of query head `head`; zeros beyond the window and the head.
fn q_rows(window: u32, t: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4(
        q_at(window, t, head, c),
        q_at(window, t + 8u, head, c),
        q_at(window, t + 16u, head, c),
        q_at(window, t + 24u, head, c),
    );
}

// The same of the keys of key/value head `head`.
fn k_rows(window: u32, t: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4(
        k_at(window, t, head, c),
        k_at(window, t + 8u, head, c),
        k_at(window, t + 16u, head, c),
        k_at(window, t + 24u, head, c),
    );
}

// The same of its values.
fn v_rows(window: u32, t: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4(
        v_at(window, t, head, c),
        v_at(window, t + 8u, head, c),
        v_at(window, t + 16u, head, c),
        v_at(window, t + 24u, head, c),
    );
}

// Puts an invocation's vectors of the rows row + 8i into slabs 0 to 3.
fn place_low(row: u32, column: u32, rows: mat4x4<f32>) {
    let c = column ^ row;
    panel[0][row][c] = rows[0];
    panel[1][row][c] = rows[1];
    panel[2][row][c] = rows[2];
    panel[3][row][c] = rows[3];
}

// The same into slabs 4 to 7.
fn place_high(row: u32, column: u32, rows: mat4x4<f32>) {
    let c = column ^ row;
    panel[4][row][c] = rows[0];
    panel[5][row][c] = rows[1];
    panel[6][row][c] = rows[2];
    panel[7][row][c] = rows[3];
}

// Stores an invocation's weights; its vector `i` is row + 8i.
fn place_weights(row: u32, column: u32, rows: mat4x4<f32>) {
    let c = column ^ row;
    weights[0][row][c] = rows[0];
    weights[1][row][c] = rows[1];
    weights[2][row][c] = rows[2];
    weights[3][row][c] = rows[3];
}

// sum[i][j] + (row row + 8i) · (column column + 8j) over the 32 channels in `panel`.
fn add_dots(sum: mat4x4<f32>, row: u32, column: u32) -> mat4x4<f32> {
    var s0 = sum[0];
    var s1 = sum[1];
    var s2 = sum[2];
    var s3 = sum[3];
    for (var c = 0u; c < EIGHT; c++) {
        let b = c ^ column;
        let columns = mat4x4(panel[4][column][b], panel[5][column][b], panel[6][column][b], panel[7][column][b]);
        let m = transpose(columns);
        let a = c ^ row;
        s0 = multiply_add(s0, m, panel[0][row][a]);
        s1 = multiply_add(s1, m, panel[1][row][a]);
        s2 = multiply_add(s2, m, panel[2][row][a]);
        s3 = multiply_add(s3, m, panel[3][row][a]);
    }
    return mat4x4(s0, s1, s2, s3);
}

// An invocation's share of 32 rows of a chunk: vectors `column` and `column + 8` of the rows row + 8i.
struct Rows { low: mat4x4<f32>, high: mat4x4<f32> }

// Every row of `rows` times its number in `by`.
fn scaled(rows: Rows, by: vec4<f32>) -> Rows {
    let low = mat4x4(rows.low[0] * by.x, rows.low[1] * by.y, rows.low[2] * by.z, rows.low[3] * by.w);
    let high = mat4x4(rows.high[0] * by.x, rows.high[1] * by.y, rows.high[2] * by.z, rows.high[3] * by.w);
    return Rows(low, high);
}

// sum + weights · (the chunk of 32 rows in `panel`).
fn add_weighted(sum: Rows, row: u32, column: u32) -> Rows {
    var low = sum.low;
    var high = sum.high;
    for (var r = 0u; r < EIGHT; r++) {
        let a = r ^ row;
        let w0 = weights[0][row][a];
        let w1 = weights[1][row][a];
        let w2 = weights[2][row][a];
        let w3 = weights[3][row][a];
        let b = r ^ column;
        let m = mat4x4(panel[0][r][b], panel[1][r][b], panel[2][r][b], panel[3][r][b]);
        low = mat4x4(
            multiply_add(low[0], m, w0),
            multiply_add(low[1], m, w1),
            multiply_add(low[2], m, w2),
            multiply_add(low[3], m, w3),
        );
        let n = mat4x4(panel[4][r][b], panel[5][r][b], panel[6][r][b], panel[7][r][b]);
        high = mat4x4(
            multiply_add(high[0], n, w0),
            multiply_add(high[1], n, w1),
            multiply_add(high[2], n, w2),
            multiply_add(high[3], n, w3),
        );
    }
    return Rows(low, high);
}
