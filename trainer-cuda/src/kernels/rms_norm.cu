// rms_norm: (x[n,d]) → scale·x/√(mean x² + ε). rms_norm_grad: (x[n,d], dy[n,d]) → dx[n,d] =
// scale·r·(dy - x·r²·mean(x·dy)), r = 1/√(mean x² + ε), or added to dx. One warp per row, which stays in registers up to 512
// channels; of a longer one each span is read twice.

#include "shared/spans.cuh"

const float EPSILON = 1.1920929e-7f;

template <bool WHOLE> __device__ inline void normalize(const Act* x, Act* y, u32 row, u32 d, float scale) {
    const u32 first = row * d;
    const u32 end = first + d;
    Span own = span_from<WHOLE>(x, first, end);
    float sum = own.dot_with(own);
    for (u32 at = first + SPAN; at < end; at += SPAN) {
        const Span more = span_from<WHOLE>(x, at, end);
        sum += more.dot_with(more);
    }
    const float factor = scale * rsqrtf(warp_sum(sum) / (float)d + EPSILON);
    for (u32 at = first; at < end; at += SPAN) {
        if (d > SPAN) own = span_from<WHOLE>(x, at, end);
        store_span<WHOLE>(y, at, end, {{own.v[0] * factor, own.v[1] * factor}});
    }
}

extern "C" __global__ void __launch_bounds__(256) rms_norm(const Act* x, Act* y, u32 n, u32 d, float scale) {
    const u32 row = warp_index();
    if (row >= n) return;
    d % 8 == 0 ? normalize<true>(x, y, row, d, scale) : normalize<false>(x, y, row, d, scale);
}

template <bool WHOLE>
__device__ inline void gradient(const Act* x, const Act* dy, Act* dx, u32 row, u32 d, float scale, u32 accumulate) {
    const u32 first = row * d;
    const u32 end = first + d;
    Span own = span_from<WHOLE>(x, first, end);
    Span slope = span_from<WHOLE>(dy, first, end);
    Span before = span_from<WHOLE>(dx, first, accumulate ? end : first);
    float square = own.dot_with(own);
    float product = own.dot_with(slope);
    for (u32 at = first + SPAN; at < end; at += SPAN) {
        const Span more = span_from<WHOLE>(x, at, end);
        square += more.dot_with(more);
        product += more.dot_with(span_from<WHOLE>(dy, at, end));
    }
    const float r = rsqrtf(warp_sum(square) / (float)d + EPSILON);
    const float outer = scale * r;
    const float inner = outer * r * r * (warp_sum(product) / (float)d);
    for (u32 at = first; at < end; at += SPAN) {
        if (d > SPAN) {
            own = span_from<WHOLE>(x, at, end);
            slope = span_from<WHOLE>(dy, at, end);
            before = span_from<WHOLE>(dx, at, accumulate ? end : at);
        }
        Span sum;
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
            sum.v[i] = add_products(add_products(before.v[i], slope.v[i], outer), own.v[i], -inner);
        }
        store_span<WHOLE>(dx, at, end, sum);
    }
}

extern "C" __global__ void __launch_bounds__(256)
rms_norm_grad(const Act* x, const Act* dy, Act* dx, u32 n, u32 d, float scale, u32 accumulate) {
    const u32 row = warp_index();
    if (row >= n) return;
    d % 8 == 0 ? gradient<true>(x, dy, dx, row, d, scale, accumulate) : gradient<false>(x, dy, dx, row, d, scale, accumulate);
}
