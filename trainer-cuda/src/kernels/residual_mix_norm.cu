// residual_mix_norm: (x[n,d], x0[n,d], mix[2,d]) → (m[n,d], h[n,d]): m = mix[0]⊙x + mix[1]⊙x0, h = scale·m/√(mean m² + ε). One warp
// per row, four channels per thread at a time; x and x0 are read again while they are in cache.
//
// residual_mix_norm_grad: (x[n,d], x0[n,d], mix[2,d], dh[n,d], dm[n,d]) → (dx[n,d], dx0[n,d], dmix[2,d]), dx in place of dm, dx0 perhaps
// added to what is there: with g = dm + scale·r·(dh - m·r²·mean(m·dh)), r = 1/√(mean m² + ε): dx = mix[0]⊙g, dx0 = mix[1]⊙g,
// dmix = [Σ_n x⊙g, Σ_n x0⊙g]. m is formed again, and g lives in registers.
//
// A block takes a chunk of 32 rows for column_sums.cu, eight at a time: a warp per row forms what the row has of the norm,
// then a thread per two channels goes down the rows, which are in cache by now. A column's terms are added in the order of rows.

#include "shared/reduce.cuh"
#include "shared/row.cuh"

const float EPSILON = 1.1920929e-7f;

// The mix of four channels from c on.
__device__ inline float4 mixed(const Act* x, const Act* x0, const float* mix, u32 c, u32 d) {
    return row_four(mix, c, d) * row_four(x, c, d) + row_four(mix + d, c, d) * row_four(x0, c, d);
}

extern "C" __global__ void __launch_bounds__(256)
residual_mix_norm(const Act* x, const Act* x0, const float* mix, Act* m, Act* h, u32 n, u32 d, float scale) {
    const u32 row = warp_index();
    if (row >= n) return;
    const u32 lane = threadIdx.x % WARP;
    const u32 first = row * d;
    float sum = 0.0f;
    for (u32 c = 4 * lane; c < d; c += 4 * WARP) {
        const float4 v = mixed(x + first, x0 + first, mix, c, d);
        store_row_four(m + first, c, d, v);
        sum = add_dot(sum, v, v);
    }
    const float factor = scale * rsqrtf(warp_sum(sum) / (float)d + EPSILON);
    for (u32 c = 4 * lane; c < d; c += 4 * WARP) {
        store_row_four(h + first, c, d, mixed(x + first, x0 + first, mix, c, d) * factor);
    }
}

const u32 CHUNK = 32;  // rows, as in column_sums.rs
const u32 WARPS = 8;

// What a row's gradient has of dh and of m.
struct OfRow {
    float of_dh, of_m;
};

// Call with all lanes of a warp.
__device__ inline OfRow of_row(const Act* x, const Act* x0, const float* mix, const Act* dh, u32 d, float scale) {
    float square = 0.0f;
    float product = 0.0f;
    for (u32 c = 4 * (threadIdx.x % WARP); c < d; c += 4 * WARP) {
        const float4 m = mixed(x, x0, mix, c, d);
        square = add_dot(square, m, m);
        product = add_dot(product, m, row_four(dh, c, d));
    }
    const float r = rsqrtf(warp_sum(square) / (float)d + EPSILON);
    const float inner = r * r * (warp_sum(product) / (float)d);
    return {scale * r, scale * r * inner};
}

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(256)
residual_mix_norm_grad(const Act* x, const Act* x0, const float* mix, const Act* dh, Act* dx, Act* dx0, float* partials, u32 n,
                       u32 d, float scale, u32 accumulate) {
    __shared__ OfRow of_rows[WARPS];
    const u32 end = min((blockIdx.x + 1) * CHUNK, n);
    float* const with_x = partials + blockIdx.x * 2 * d;
    float* const with_x0 = with_x + d;
    for (u32 start = blockIdx.x * CHUNK; start < end; start += WARPS) {
        const u32 own = start + threadIdx.x / WARP;
        if (own < end) {
            const OfRow made = of_row(x + own * d, x0 + own * d, mix, dh + own * d, d, scale);
            if (threadIdx.x % WARP == 0) of_rows[threadIdx.x / WARP] = made;
        }
        __syncthreads();
        const u32 rows = min(WARPS, end - start);
        for (u32 c = 2 * threadIdx.x; c < d; c += 2 * WARPS * WARP) {
            const float2 now = row_two(mix, c, d);
            const float2 stem = row_two(mix + d, c, d);
            // A thread's channels are its own, so what it added up so far waits in memory.
            const bool begins = start % CHUNK == 0;
            float2 sum = begins ? make_float2(0.0f, 0.0f) : row_two(with_x, c, d);
            float2 sum0 = begins ? make_float2(0.0f, 0.0f) : row_two(with_x0, c, d);
            for (u32 row = 0; row < rows; row++) {
                const u32 first = (start + row) * d;
                const OfRow of = of_rows[row];
                const float2 v = row_two(x + first, c, d);
                const float2 v0 = row_two(x0 + first, c, d);
                const float2 p = row_two(dh + first, c, d);
                const float2 before = row_two(dx + first, c, d);
                const float2 g = make_float2(before.x + (of.of_dh * p.x - of.of_m * (now.x * v.x + stem.x * v0.x)),
                                             before.y + (of.of_dh * p.y - of.of_m * (now.y * v.y + stem.y * v0.y)));
                const float2 old = accumulate ? row_two(dx0 + first, c, d) : make_float2(0.0f, 0.0f);
                store_row_two(dx + first, c, d, make_float2(now.x * g.x, now.y * g.y));
                store_row_two(dx0 + first, c, d, make_float2(old.x + stem.x * g.x, old.y + stem.y * g.y));
                sum = make_float2(sum.x + v.x * g.x, sum.y + v.y * g.y);
                sum0 = make_float2(sum0.x + v0.x * g.x, sum0.y + v0.y * g.y);
            }
            store_row_two(with_x, c, d, sum);
            store_row_two(with_x0, c, d, sum0);
        }
        // Nobody may still read what rows have when the next ones are written.
        __syncthreads();
    }
}
