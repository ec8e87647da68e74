// residual_mix_norm: (x[n,d], x0[n,d], mix[2,d]) → (m[n,d], h[n,d]): m = mix[0]⊙x + mix[1]⊙x0, h = scale·m/√(mean m² + ε). One warp
// per row.
//
// residual_mix_norm_grad: (x[n,d], x0[n,d], mix[2,d], dh[n,d], dm[n,d]) → (dx[n,d], dx0[n,d], dmix[2,d]), dx in place of dm, dx0 perhaps
// added to what is there: with g = dm + scale·r·(dh - m·r²·mean(m·dh)), r = 1/√(mean m² + ε): dx = mix[0]⊙g, dx0 = mix[1]⊙g,
// dmix = [Σ_n x⊙g, Σ_n x0⊙g]. m is formed again, and g lives in registers. A block takes 64 rows for column_sums.cu, a warp
// every eighth of them: the sums of its own rows stay in registers, and those of the warps are added in order.

#include "shared/spans.cuh"

const float EPSILON = 1.1920929e-7f;

// x·a + y·b
__device__ inline Span mixed(const Span& x, const Span& a, const Span& y, const Span& b) {
    return {{add_products(x.v[0] * a.v[0], y.v[0], b.v[0]), add_products(x.v[1] * a.v[1], y.v[1], b.v[1])}};
}

// What a block reads.
struct Operands {
    const Act *x, *x0;
    const float* mix;
    const Act* dh;
    u32 d;

    // m of the channels from c on of a row.
    template <bool WHOLE> __device__ Span mixed_at(u32 row, u32 c) const {
        const u32 first = row * d;
        return mixed(span_from<WHOLE>(x, first + c, first + d), span_from<WHOLE>(mix, c, d),
                     span_from<WHOLE>(x0, first + c, first + d), span_from<WHOLE>(mix, d + c, 2 * d));
    }
};

template <bool WHOLE> __device__ inline void mix_and_normalize(const Operands& from, Act* m, Act* h, u32 row, float scale) {
    const u32 first = row * from.d;
    const u32 end = first + from.d;
    Span own;
    float sum = 0.0f;
    for (u32 c = 0; c < from.d; c += SPAN) {
        own = from.mixed_at<WHOLE>(row, c);
        store_span<WHOLE>(m, first + c, end, own);
        sum += own.dot_with(own);
    }
    const float factor = scale * rsqrtf(warp_sum(sum) / (float)from.d + EPSILON);
    for (u32 c = 0; c < from.d; c += SPAN) {
        if (from.d > SPAN) own = from.mixed_at<WHOLE>(row, c);
        store_span<WHOLE>(h, first + c, end, {{own.v[0] * factor, own.v[1] * factor}});
    }
}

extern "C" __global__ void __launch_bounds__(256)
residual_mix_norm(const Act* x, const Act* x0, const float* mix, Act* m, Act* h, u32 n, u32 d, float scale) {
    const u32 row = warp_index();
    if (row >= n) return;
    const Operands from = {x, x0, mix, nullptr, d};
    d % 8 == 0 ? mix_and_normalize<true>(from, m, h, row, scale) : mix_and_normalize<false>(from, m, h, row, scale);
}

const u32 CHUNK = 64;  // rows, as in column_sums.rs
const u32 WARPS = 8;

// Sums of the warps over a span.
struct OfWarps {
    float v[WARPS][SPAN];
};

// Σ over the warps of a block, in order, of the channels of a span: to sums[c ..], below d. Call with all threads.
__device__ inline void join_warps(OfWarps& of_warps, const Span& own, float* sums, u32 c, u32 d) {
    // Nobody may still read what was there before.
    __syncthreads();
    float* to = of_warps.v[threadIdx.x / WARP] + threadIdx.x % WARP * 8;
    store_eight_at(to, own.v[0]);
    store_eight_at(to + SPAN / 2, own.v[1]);
    __syncthreads();
    for (u32 i = threadIdx.x; i < min(SPAN, d - c); i += blockDim.x) {
        float sum = 0.0f;
        for (u32 warp = 0; warp < WARPS; warp++) sum += of_warps.v[warp][i];
        sums[c + i] = sum;
    }
}

template <bool WHOLE>
__device__ inline void gradient(OfWarps& of_warps, const Operands& from, Act* dx, Act* dx0, float* partials, u32 n, float scale, u32 accumulate) {
    const u32 d = from.d;
    const u32 last = min((blockIdx.x + 1) * CHUNK, n);
    float* of_chunk = partials + blockIdx.x * 2 * d;
    for (u32 c = 0; c < d; c += SPAN) {
        const Span now = span_from<WHOLE>(from.mix, c, d);
        const Span stem = span_from<WHOLE>(from.mix, d + c, 2 * d);
        Span sum = {};
        Span sum0 = {};
        for (u32 row = blockIdx.x * CHUNK + threadIdx.x / WARP; row < last; row += WARPS) {
            const u32 end = (row + 1) * d;
            const u32 at = row * d + c;
            const Span v = span_from<WHOLE>(from.x, at, end);
            const Span v0 = span_from<WHOLE>(from.x0, at, end);
            const Span slope = span_from<WHOLE>(from.dh, at, end);
            const Span before = span_from<WHOLE>(dx, at, end);
            const Span before0 = span_from<WHOLE>(dx0, at, accumulate ? end : at);
            const Span m = mixed(v, now, v0, stem);
            float square = m.dot_with(m);
            float product = m.dot_with(slope);
            for (u32 other = 0; d > SPAN && other < d; other += SPAN) {
                if (other == c) continue;
                const Span more = from.mixed_at<WHOLE>(row, other);
                square += more.dot_with(more);
                product += more.dot_with(span_from<WHOLE>(from.dh, row * d + other, end));
            }
            const float r = rsqrtf(warp_sum(square) / (float)d + EPSILON);
            const float outer = scale * r;
            const float inner = outer * r * r * (warp_sum(product) / (float)d);
            Span to, to0;
#pragma unroll
            for (u32 i = 0; i < 2; i++) {
                const Eight g = add_products(add_products(before.v[i], slope.v[i], outer), m.v[i], -inner);
                to.v[i] = g * now.v[i];
                to0.v[i] = add_products(before0.v[i], g, stem.v[i]);
                sum.v[i] = add_products(sum.v[i], v.v[i], g);
                sum0.v[i] = add_products(sum0.v[i], v0.v[i], g);
            }
            store_span<WHOLE>(dx, at, end, to);
            store_span<WHOLE>(dx0, at, end, to0);
        }
        join_warps(of_warps, sum, of_chunk, c, d);
        join_warps(of_warps, sum0, of_chunk + d, c, d);
    }
}

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(256)
residual_mix_norm_grad(const Act* x, const Act* x0, const float* mix, const Act* dh, Act* dx, Act* dx0, float* partials, u32 n,
                       u32 d, float scale, u32 accumulate) {
    __shared__ OfWarps of_warps;
    const Operands from = {x, x0, mix, dh, d};
    d % 8 == 0 ? gradient<true>(of_warps, from, dx, dx0, partials, n, scale, accumulate)
               : gradient<false>(of_warps, from, dx, dx0, partials, n, scale, accumulate);
}
