// fake_quant: (w[m,k]) → w + (q·Δ - w), q = clamp(round_half_even(w/Δ)), Δ one step per row. A block takes a row: it finds
// the order statistics that give Δ, then rounds its entries, read again from the cache.
// soft_quant: (w[m,k], α) → s_α(clamp(w/Δ))·Δ, s_α(y) = ⌊y⌋ + ½ + ½·tanh(α·r)/tanh(α/2) with r = y - ⌊y⌋ - ½.
// soft_quant_grad: (w[m,k], α, dŵ[m,k]) → dŵ · s'_α(clamp(w/Δ)).
//
// The bits of fake_quant are those of IEEE f32 arithmetic in the published order: every operation that decides one is rounded by
// itself, by an intrinsic that is never contracted into another.

#include "shared/vector.cuh"

// Scalars; the host passes them as so many words.
struct Rule {
    u32 k;
    u32 need;        // Δ starts from the need-th largest magnitude,
    u32 from_high;   // moved, or the next larger one where this is 1,
    float factor;    // by factor·(their gap); then
    float before;    // Δ = max(max(magnitude, before)/c, after)
    float after;
    float c;         // largest integer
    float lowest;    // smallest
    static constexpr const char* LETTERS = "uuufffff";
};

const u32 LANES = 64;

// A magnitude as bits, which order it exactly, and how often it occurs.
struct Top {
    u32 bits, count;
};

__device__ inline Top larger(Top a, Top b) {
    if (a.bits == b.bits) return {a.bits, a.count + b.count};
    return a.bits > b.bits ? a : b;
}

// Largest magnitude below `bound` in the row, given to every thread. Call with all threads.
__device__ inline Top largest_below(const float* row, Top* tops, u32 bound, u32 k) {
    Top top = {0, 0};
    for (u32 j = threadIdx.x; j < k; j += LANES) {
        const u32 magnitude = __float_as_uint(row[j]) & 0x7fffffffu;
        if (magnitude < bound) top = larger(top, {magnitude, 1});
    }
    // Nobody may still read what an earlier search left.
    __syncthreads();
    tops[threadIdx.x] = top;
    __syncthreads();
    for (u32 width = LANES / 2; width > 0; width /= 2) {
        if (threadIdx.x < width) tops[threadIdx.x] = larger(tops[threadIdx.x], tops[threadIdx.x + width]);
        __syncthreads();
    }
    return tops[0];
}

// Δ of the row. The quantile of the published rule lies among the largest 0.05 %, so it is counted from the top.
__device__ inline float step_of(const float* row, Top* tops, const Rule& p) {
    u32 counted = 0;
    u32 low = 0xffffffffu;
    u32 high = 0;
    while (counted < p.need) {
        const Top top = largest_below(row, tops, low, p.k);
        low = top.bits;
        if (counted == 0 || counted + 1 < p.need) high = top.bits;
        counted += top.count;
    }
    const float gap = __fsub_rn(__uint_as_float(high), __uint_as_float(low));
    const float magnitude = __fmaf_rn(p.factor, gap, __uint_as_float(p.from_high ? high : low));
    return fmaxf(__fdiv_rn(fmaxf(magnitude, p.before), p.c), p.after);
}

extern "C" __global__ void __launch_bounds__(64) fake_quant(const float* w, float* seen, Rule p) {
    __shared__ Top tops[LANES];
    const float* row = w + blockIdx.x * p.k;
    const float step = step_of(row, tops, p);
    for (u32 j = threadIdx.x; j < p.k; j += LANES) {
        const float q = fminf(fmaxf(rintf(__fdiv_rn(row[j], step)), p.lowest), p.c);
        seen[blockIdx.x * p.k + j] = __fadd_rn(row[j], __fsub_rn(__fmul_rn(q, step), row[j]));
    }
}

// y - ⌊y⌋ - ½ of the clipped y = w/Δ, and ⌊y⌋ in `base`.
__device__ inline float soft_offset(float weight, float step, const Rule& p, float& base) {
    const float y = fminf(fmaxf(__fdiv_rn(weight, step), p.lowest), p.c);
    base = floorf(y);
    return y - base - 0.5f;
}

extern "C" __global__ void __launch_bounds__(64) soft_quant(const float* w, float* seen, const float* sharpness, Rule p) {
    __shared__ Top tops[LANES];
    const float* row = w + blockIdx.x * p.k;
    const float step = step_of(row, tops, p);
    const float alpha = sharpness[0];
    const float scale = 0.5f / tanhf(0.5f * alpha);
    for (u32 j = threadIdx.x; j < p.k; j += LANES) {
        float base;
        const float offset = soft_offset(row[j], step, p, base);
        seen[blockIdx.x * p.k + j] = (base + 0.5f + scale * tanhf(alpha * offset)) * step;
    }
}

extern "C" __global__ void __launch_bounds__(64)
    soft_quant_grad(const float* w, float* dw, const float* sharpness, const float* dseen, Rule p) {
    __shared__ Top tops[LANES];
    const float* row = w + blockIdx.x * p.k;
    const float step = step_of(row, tops, p);
    const float alpha = sharpness[0];
    const float scale = 2.0f * alpha / tanhf(0.5f * alpha);
    for (u32 j = threadIdx.x; j < p.k; j += LANES) {
        float base;
        // 1 - tanh² without its cancellation.
        const float e = expf(-2.0f * alpha * fabsf(soft_offset(row[j], step, p, base)));
        dw[blockIdx.x * p.k + j] = dseen[blockIdx.x * p.k + j] * (scale * (e / ((1.0f + e) * (1.0f + e))));
    }
}
