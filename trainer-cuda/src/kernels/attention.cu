// attention: (q[n,h,w], k[n,g,w], v[n,g,w]) → (y[n,h,w], lse[n,h]), causal inside windows of seq tokens; w in vectors of 4
// channels.
//
// One block per 32 queries of a head: it walks the tiles of 32 keys up to the diagonal, and keeps the largest score, the
// sum of weights and the weighted values of its queries in registers, rescaled when the largest grows. The last tiles of
// a window take longest and start first.
//
// repitch: x[rows, from] → y[rows, to]: rows cut or continued with zeros, one thread per element of y. It brings heads of
// odd widths to whole vectors, and back.

#include "shared/attention_tile.cuh"

// Scores of the thread's queries for tile `keys`, MASKED for keys after their query. Returns after a barrier.
__device__ inline Four scores(Tiles& tiles, const float4* q, const float4* k, const Heads& p, const Strand& strand,
                              u32 keys, Place at) {
    Four s = {};
    const u32 kv_heads = p.heads / p.group;
    for (u32 c = 0; c < p.width; c += EIGHT) {
        const u32 from = c + at.column;
        put(tiles.panel, at, rows_of(q, p, strand.window, strand.tile * TILE + at.row, strand.head, p.heads, from));
        put(tiles.panel + 4, at,
            rows_of(k, p, strand.window, keys * TILE + at.row, strand.head / p.group, kv_heads, from));
        __syncthreads();
        add_dots(s, tiles, at);
        __syncthreads();
    }
    const bool diagonal = keys == strand.tile;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 row = at.row + EIGHT * i;
        s.v[i] = s.v[i] * p.scale;
        if (diagonal && at.column > row) s.v[i].x = MASKED;
        if (diagonal && at.column + 8 > row) s.v[i].y = MASKED;
        if (diagonal && at.column + 16 > row) s.v[i].z = MASKED;
        if (diagonal && at.column + 24 > row) s.v[i].w = MASKED;
    }
    return s;
}

// Multiplies each of the rows row + 8i by its number.
__device__ inline void scale_rows(Four& rows, float4 by) {
    rows.v[0] = rows.v[0] * by.x;
    rows.v[1] = rows.v[1] * by.y;
    rows.v[2] = rows.v[2] * by.z;
    rows.v[3] = rows.v[3] * by.w;
}

extern "C" __global__ void __launch_bounds__(64)
attention(const float4* q, const float4* k, const float4* v, float4* y, float* lse, Heads p) {
    __shared__ Tiles tiles;
    // [column][row]: what a thread knows of its rows row + 8i.
    __shared__ float4 of_rows[8][8];
    const Place at = place_of_thread();
    const Strand strand = strand_of_block(p, p.tiles - 1 - blockIdx.x / p.strands, p.heads);
    const u32 kv_heads = p.heads / p.group;
    float4 largest = splat(MASKED);
    float4 total = splat(0.0f);
    Share sum = {};
    for (u32 keys = 0; keys <= strand.tile; keys++) {
        Four s = scores(tiles, q, k, p, strand, keys, at);
        of_rows[at.column][at.row] =
            make_float4(largest_in(s.v[0]), largest_in(s.v[1]), largest_in(s.v[2]), largest_in(s.v[3]));
        const u32 c = strand.chunk * CHUNK + at.column;
        const u32 t = keys * TILE + at.row;
        put(tiles.panel, at, rows_of(v, p, strand.window, t, strand.head / p.group, kv_heads, c));
        put(tiles.panel + 4, at, rows_of(v, p, strand.window, t, strand.head / p.group, kv_heads, c + EIGHT));
        __syncthreads();
        float4 grown = largest;
        for (u32 i = 0; i < EIGHT; i++) grown = max_of(grown, of_rows[i][at.row]);
        const float4 shrink = exp_of(largest - grown);
        largest = grown;
        s.v[0] = exp_of(s.v[0] - splat(largest.x));
        s.v[1] = exp_of(s.v[1] - splat(largest.y));
        s.v[2] = exp_of(s.v[2] - splat(largest.z));
        s.v[3] = exp_of(s.v[3] - splat(largest.w));
        total = total * shrink + make_float4(sum_in(s.v[0]), sum_in(s.v[1]), sum_in(s.v[2]), sum_in(s.v[3]));
        put(tiles.weights, at, s);
        __syncthreads();
        scale_rows(sum.low, shrink);
        scale_rows(sum.high, shrink);
        add_weighted(sum, tiles, at);
        __syncthreads();
    }
    of_rows[at.column][at.row] = total;
    __syncthreads();
    total = of_rows[0][at.row];
    for (u32 i = 1; i < EIGHT; i++) total = total + of_rows[i][at.row];
    const float4 share = make_float4(1.0f / total.x, 1.0f / total.y, 1.0f / total.z, 1.0f / total.w);
    scale_rows(sum.low, share);
    scale_rows(sum.high, share);
    store_share(y, p, strand, p.heads, at, sum);
    if (at.column != 0 || strand.chunk != 0) return;
    const float logs[4] = {largest.x + logf(total.x), largest.y + logf(total.y), largest.z + logf(total.z),
                           largest.w + logf(total.w)};
    for (u32 i = 0; i < 4; i++) {
        const u32 t = strand.tile * TILE + at.row + EIGHT * i;
        if (t < p.seq) lse[(strand.window * p.seq + t) * p.heads + strand.head] = logs[i];
    }
}

// n: elements of y
extern "C" __global__ void __launch_bounds__(256) repitch(const float* x, float* y, u32 n, u32 from, u32 to) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = i % to < from ? x[i / to * from + i % to] : 0.0f;
}
