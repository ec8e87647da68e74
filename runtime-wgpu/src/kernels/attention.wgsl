// attention: (q[n,h,w], k[n,g,w], v[n,g,w]) → (y[n,h,w], lse[n,h]), causal inside windows of seq tokens; w in vectors
// of 4 channels.
//
// One workgroup per 32 queries of a head: it walks the tiles of 32 keys up to the diagonal, and keeps the largest
// score, the sum of weights and the weighted values of its queries in registers, rescaled when the largest grows. The
// last tiles of a window take longest and start first. After attention_tile.wgsl.

@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;  // [n, h, w]
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;      // [n, h]

// [column][row]: what an invocation knows of its rows row + 8i, for the 8 invocations that share them.
var<workgroup> of_rows: array<array<vec4<f32>, 8>, 8>;

fn largest_of(x: vec4<f32>) -> f32 {
    return max(max(x.x, x.y), max(x.z, x.w));
}

fn sum_of(x: vec4<f32>) -> f32 {
    return (x.x + x.y) + (x.z + x.w);
}

// MASKED for the keys column + 8j of the diagonal tile that come after its query `row`.
fn causal(s: vec4<f32>, row: u32, column: u32) -> vec4<f32> {
    return select(s, vec4(MASKED), vec4(column, column + 8u, column + 16u, column + 24u) > vec4(row));
}

// Scores of the invocation's queries for tile `keys`. Returns after a barrier: the panel may be overwritten.
fn scores(strand: Strand, keys: u32, row: u32, column: u32) -> mat4x4<f32> {
    var s = mat4x4<f32>();
    for (var c = 0u; c < params.width; c += EIGHT) {
        place_low(row, column, q_rows(strand.window, strand.tile * TILE + row, strand.head, c + column));
        place_high(row, column, k_rows(strand.window, keys * TILE + row, strand.head / params.group, c + column));
        workgroupBarrier();
        s = add_dots(s, row, column);
        workgroupBarrier();
    }
    s *= params.scale;
    if keys < strand.tile {
        return s;
    }
    return mat4x4(
        causal(s[0], row, column),
        causal(s[1], row + 8u, column),
        causal(s[2], row + 16u, column),
        causal(s[3], row + 24u, column),
    );
}

fn store(strand: Strand, t: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    let c = strand.chunk * CHUNK + column;
    let first = offset(strand.window, t, strand.head, params.heads, c);
    if exists(t, c) {
        y[first] = low;
    }
    if exists(t, c + EIGHT) {
        y[first + EIGHT] = high;
    }
}

fn store_lse(strand: Strand, t: u32, value: f32) {
    if t < params.seq {
        lse[(strand.window * params.seq + t) * params.heads + strand.head] = value;
    }
}

@compute @workgroup_size(64)
fn attention(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = params.base + group.x;
    let strand = strand_of(index, params.tiles - 1u - index / params.strands, params.heads);
    let row = lane / EIGHT;
    let column = lane % EIGHT;
    var largest = vec4(MASKED);
    var total = vec4<f32>();
    var sum = Rows();
    for (var keys = 0u; keys <= strand.tile; keys++) {
        let s = scores(strand, keys, row, column);
        of_rows[column][row] = vec4(largest_of(s[0]), largest_of(s[1]), largest_of(s[2]), largest_of(s[3]));
        let c = strand.chunk * CHUNK + column;
        place_low(row, column, v_rows(strand.window, keys * TILE + row, strand.head / params.group, c));
        place_high(row, column, v_rows(strand.window, keys * TILE + row, strand.head / params.group, c + EIGHT));
        workgroupBarrier();
        var grown = largest;
        for (var i = 0u; i < EIGHT; i++) {
            grown = max(grown, of_rows[i][row]);
        }
        let shrink = exp(largest - grown);
        largest = grown;
        let p = mat4x4(
            exp(s[0] - largest.x),
            exp(s[1] - largest.y),
            exp(s[2] - largest.z),
            exp(s[3] - largest.w),
        );
        total = total * shrink + vec4(sum_of(p[0]), sum_of(p[1]), sum_of(p[2]), sum_of(p[3]));
        place_weights(row, column, p);
        workgroupBarrier();
        sum = add_weighted(scaled(sum, shrink), row, column);
        workgroupBarrier();
    }
    of_rows[column][row] = total;
    workgroupBarrier();
    total = of_rows[0][row];
    for (var i = 1u; i < EIGHT; i++) {
        total += of_rows[i][row];
    }
    let mean = scaled(sum, 1.0 / total);
    let t = strand.tile * TILE + row;
    store(strand, t, column, mean.low[0], mean.high[0]);
    store(strand, t + 8u, column, mean.low[1], mean.high[1]);
    store(strand, t + 16u, column, mean.low[2], mean.high[2]);
    store(strand, t + 24u, column, mean.low[3], mean.high[3]);
    if column == 0u && strand.chunk == 0u {
        let logs = largest + log(total);
        store_lse(strand, t, logs.x);
        store_lse(strand, t + 8u, logs.y);
        store_lse(strand, t + 16u, logs.z);
        store_lse(strand, t + 24u, logs.w);
    }
}
