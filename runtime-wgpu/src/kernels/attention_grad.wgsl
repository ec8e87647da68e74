// attention_grad: (q[n,h,w], k[n,g,w], v[n,g,w], dy[n,h,w], lse[n,h], delta[n,h]) → dq[n,h,w], or → (dk[n,g,w],
// dv[n,g,w]); w in vectors of 4 channels. Scores are formed again from lse, tile by tile; no two workgroups add to the same result.
//
// attention_grad_queries: one workgroup per 32 queries of a head walks the keys up to the diagonal, dq in registers.
// attention_grad_keys: one workgroup per 32 keys of a key/value head walks the queries from the diagonal on, of every
// head of its group in turn, dk and dv in registers. Both start with the tiles that take longest. After
// attention_tile.wgsl.

@group(0) @binding(4) var<storage, read> dy: array<vec4<f32>>;              // [n, h, w]
@group(0) @binding(5) var<storage, read> lse: array<f32>;                   // [n, h]
@group(0) @binding(6) var<storage, read> delta: array<f32>;                 // [n, h]: Σ dy·y
@group(0) @binding(7) var<storage, read_write> dq_or_dk: array<vec4<f32>>;  // queries: [n, h, w]; keys: [n, h/group, w]
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;        // keys: [n, h/group, w]

fn dy_at(window: u32, t: u32, head: u32, c: u32) -> vec4<f32> {
    if exists(t, c) {
        return dy[offset(window, t, head, params.heads, c)];
    }
    return vec4<f32>();
}

// Vector `c` of the tokens t + 8i of query head `head`; zeros beyond the window and the head.
fn dy_rows(window: u32, t: u32, head: u32, c: u32) -> mat4x4<f32> {
    return mat4x4(
        dy_at(window, t, head, c),
        dy_at(window, t + 8u, head, c),
        dy_at(window, t + 16u, head, c),
        dy_at(window, t + 24u, head, c),
    );
}

// lse and delta of a query.
struct Query { lse: f32, delta: f32 }

fn query_at(window: u32, t: u32, head: u32) -> Query {
    if t < params.seq {
        let i = (window * params.seq + t) * params.heads + head;
        return Query(lse[i], delta[i]);
    }
    return Query();
}

// lse and delta of the queries t + 8i; zeros beyond the window.
struct Queries { lse: vec4<f32>, delta: vec4<f32> }

fn queries_at(window: u32, t: u32, head: u32) -> Queries {
    let a = query_at(window, t, head);
    let b = query_at(window, t + 8u, head);
    let c = query_at(window, t + 16u, head);
    let d = query_at(window, t + 24u, head);
    return Queries(vec4(a.lse, b.lse, c.lse, d.lse), vec4(a.delta, b.delta, c.delta, d.delta));
}

// e^(s·scale - lse) of a row of the tile, 0 where masked.
fn probabilities(s: vec4<f32>, lse: vec4<f32>, masked: vec4<bool>) -> vec4<f32> {
    return exp(select(s * params.scale - lse, vec4(MASKED), masked));
}

fn every_eighth(first: u32) -> vec4<u32> {
    return vec4(first, first + 8u, first + 16u, first + 24u);
}

// Of the keys column + 8j of a diagonal tile: those after its query `row`.
fn later_keys(row: u32, column: u32, diagonal: bool) -> vec4<bool> {
    return vec4(diagonal) & (every_eighth(column) > vec4(row));
}

// Of the queries column + 8j of a diagonal tile: those before its key `row`.
fn earlier_queries(row: u32, column: u32, diagonal: bool) -> vec4<bool> {
    return vec4(diagonal) & (every_eighth(column) < vec4(row));
}

// Gradient of a row of scores.
fn ds_of(p: vec4<f32>, dp: vec4<f32>, delta: vec4<f32>) -> vec4<f32> {
    return p * (dp - delta) * params.scale;
}

// An invocation's q·k and dy·v of a tile.
struct Dots { s: mat4x4<f32>, dp: mat4x4<f32> }

// With queries as rows. Returns after a barrier: the panel may be overwritten.
fn dots_of_queries(strand: Strand, keys: u32, row: u32, column: u32) -> Dots {
    let t = strand.tile * TILE + row;
    let key = keys * TILE + row;
    let kv_head = strand.head / params.group;
    var dots = Dots();
    for (var c = 0u; c < params.width; c += EIGHT) {
        place_low(row, column, q_rows(strand.window, t, strand.head, c + column));
        place_high(row, column, k_rows(strand.window, key, kv_head, c + column));
        workgroupBarrier();
        dots.s = add_dots(dots.s, row, column);
        workgroupBarrier();
        place_low(row, column, dy_rows(strand.window, t, strand.head, c + column));
        place_high(row, column, v_rows(strand.window, key, kv_head, c + column));
        workgroupBarrier();
        dots.dp = add_dots(dots.dp, row, column);
        workgroupBarrier();
    }
    return dots;
}

// With keys as rows. Returns after a barrier: the panel may be overwritten.
fn dots_of_keys(strand: Strand, queries: u32, head: u32, row: u32, column: u32) -> Dots {
    let key = strand.tile * TILE + row;
    let t = queries * TILE + row;
    var dots = Dots();
    for (var c = 0u; c < params.width; c += EIGHT) {
        place_low(row, column, k_rows(strand.window, key, strand.head, c + column));
        place_high(row, column, q_rows(strand.window, t, head, c + column));
        workgroupBarrier();
        dots.s = add_dots(dots.s, row, column);
        workgroupBarrier();
        place_low(row, column, v_rows(strand.window, key, strand.head, c + column));
        place_high(row, column, dy_rows(strand.window, t, head, c + column));
        workgroupBarrier();
        dots.dp = add_dots(dots.dp, row, column);
        workgroupBarrier();
    }
    return dots;
}

fn store_first(strand: Strand, heads: u32, t: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    let c = strand.chunk * CHUNK + column;
    let first = offset(strand.window, t, strand.head, heads, c);
    if exists(t, c) {
        dq_or_dk[first] = low;
    }
    if exists(t, c + EIGHT) {
        dq_or_dk[first + EIGHT] = high;
    }
}

fn store_dv(strand: Strand, t: u32, column: u32, low: vec4<f32>, high: vec4<f32>) {
    let c = strand.chunk * CHUNK + column;
    let first = offset(strand.window, t, strand.head, params.heads / params.group, c);
    if exists(t, c) {
        dv[first] = low;
    }
    if exists(t, c + EIGHT) {
        dv[first + EIGHT] = high;
    }
}

@compute @workgroup_size(64)
fn attention_grad_queries(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = params.base + group.x;
    let strand = strand_of(index, params.tiles - 1u - index / params.strands, params.heads);
    let row = lane / EIGHT;
    let column = lane % EIGHT;
    let t = strand.tile * TILE + row;
    let own = queries_at(strand.window, t, strand.head);
    let chunk = strand.chunk * CHUNK + column;
    var dq = Rows();
    for (var keys = 0u; keys <= strand.tile; keys++) {
        let dots = dots_of_queries(strand, keys, row, column);
        let diagonal = keys == strand.tile;
        let p0 = probabilities(dots.s[0], vec4(own.lse.x), later_keys(row, column, diagonal));
        let p1 = probabilities(dots.s[1], vec4(own.lse.y), later_keys(row + 8u, column, diagonal));
        let p2 = probabilities(dots.s[2], vec4(own.lse.z), later_keys(row + 16u, column, diagonal));
        let p3 = probabilities(dots.s[3], vec4(own.lse.w), later_keys(row + 24u, column, diagonal));
        place_weights(row, column, mat4x4(
            ds_of(p0, dots.dp[0], vec4(own.delta.x)),
            ds_of(p1, dots.dp[1], vec4(own.delta.y)),
            ds_of(p2, dots.dp[2], vec4(own.delta.z)),
            ds_of(p3, dots.dp[3], vec4(own.delta.w)),
        ));
        let key = keys * TILE + row;
        place_low(row, column, k_rows(strand.window, key, strand.head / params.group, chunk));
        place_high(row, column, k_rows(strand.window, key, strand.head / params.group, chunk + EIGHT));
        workgroupBarrier();
        dq = add_weighted(dq, row, column);
        workgroupBarrier();
    }
    store_first(strand, params.heads, t, column, dq.low[0], dq.high[0]);
    store_first(strand, params.heads, t + 8u, column, dq.low[1], dq.high[1]);
    store_first(strand, params.heads, t + 16u, column, dq.low[2], dq.high[2]);
    store_first(strand, params.heads, t + 24u, column, dq.low[3], dq.high[3]);
}

// Gradients of an invocation's keys and values.
struct KeyRows { dk: Rows, dv: Rows }

// sum + what the queries of tile `queries` of one head add.
fn add_queries(sum: KeyRows, strand: Strand, queries: u32, head: u32, row: u32, column: u32) -> KeyRows {
    let dots = dots_of_keys(strand, queries, head, row, column);
    let t = queries * TILE;
    let theirs = queries_at(strand.window, t + column, head);
    let diagonal = queries == strand.tile;
    let p = mat4x4(
        probabilities(dots.s[0], theirs.lse, earlier_queries(row, column, diagonal)),
        probabilities(dots.s[1], theirs.lse, earlier_queries(row + 8u, column, diagonal)),
        probabilities(dots.s[2], theirs.lse, earlier_queries(row + 16u, column, diagonal)),
        probabilities(dots.s[3], theirs.lse, earlier_queries(row + 24u, column, diagonal)),
    );
    let chunk = strand.chunk * CHUNK + column;
    place_weights(row, column, p);
    place_low(row, column, dy_rows(strand.window, t + row, head, chunk));
    place_high(row, column, dy_rows(strand.window, t + row, head, chunk + EIGHT));
    workgroupBarrier();
    let dv = add_weighted(sum.dv, row, column);
    workgroupBarrier();
    place_weights(row, column, mat4x4(
        ds_of(p[0], dots.dp[0], theirs.delta),
        ds_of(p[1], dots.dp[1], theirs.delta),
        ds_of(p[2], dots.dp[2], theirs.delta),
        ds_of(p[3], dots.dp[3], theirs.delta),
    ));
    place_low(row, column, q_rows(strand.window, t + row, head, chunk));
    place_high(row, column, q_rows(strand.window, t + row, head, chunk + EIGHT));
    workgroupBarrier();
    let dk = add_weighted(sum.dk, row, column);
    workgroupBarrier();
    return KeyRows(dk, dv);
}

@compute @workgroup_size(64)
fn attention_grad_keys(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let index = params.base + group.x;
    let kv_heads = params.heads / params.group;
    let strand = strand_of(index, index / params.strands, kv_heads);
    let row = lane / EIGHT;
    let column = lane % EIGHT;
    var sum = KeyRows();
    for (var member = 0u; member < params.group; member++) {
        for (var queries = strand.tile; queries < params.tiles; queries++) {
            sum = add_queries(sum, strand, queries, strand.head * params.group + member, row, column);
        }
    }
    let t = strand.tile * TILE + row;
    store_first(strand, kv_heads, t, column, sum.dk.low[0], sum.dk.high[0]);
    store_first(strand, kv_heads, t + 8u, column, sum.dk.low[1], sum.dk.high[1]);
    store_first(strand, kv_heads, t + 16u, column, sum.dk.low[2], sum.dk.high[2]);
    store_first(strand, kv_heads, t + 24u, column, sum.dk.low[3], sum.dk.high[3]);
    store_dv(strand, t, column, sum.dv.low[0], sum.dv.high[0]);
    store_dv(strand, t + 8u, column, sum.dv.low[1], sum.dv.high[1]);
    store_dv(strand, t + 16u, column, sum.dv.low[2], sum.dv.high[2]);
    store_dv(strand, t + 24u, column, sum.dv.low[3], sum.dv.high[3]);
}
