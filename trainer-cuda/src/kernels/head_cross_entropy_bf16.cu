// head_cross_entropy on tensor cores: the first stages of head_cross_entropy.cu in tiles of 128 × 128 logits, which are
// formed of bf16 operands and stay f32; head_combine follows as there. For options that ask for it.
//
// head_partial_bf16: largest logit and Σ e^(ℓ - largest) of a row: over a warp's 32 columns in registers and by the four
// lanes that own the row, then over the four warps of the row in order. head_slope_bf16: dz of a chunk of rows.

#include "shared/head.cuh"
#include "shared/reduce.cuh"
#include "shared/tile_bf16.cuh"

__device__ inline PlainLines<Act> left_lines(const Head& p, const Act* x) {
    return plain_lines(x, p.first_row * p.depth, p.rows, p.depth, p.depth);
}

__device__ inline PlainLines<float> right_lines(const Head& p, const float* e) {
    return plain_lines(e, 0, p.cols, p.depth, p.depth);
}

__device__ inline PackedLines right_lines(const Head& p, const u32* e) { return {e, p.cols, p.depth, p.bits, p.row_words}; }

// The softcap by the hardware's 2^x, off by a few 2^-23 of the cap: the library's tanh and exp would take as long as the product.
struct Softcap {
    float cap, rate;  // rate: 2·log₂e / cap

    // cap·tanh(z/cap) = cap - 2·cap/(1 + e^(2z/cap)); the root's reciprocal is an instruction, a quotient is not.
    __device__ float squash(float z) const {
        const float root = rsqrtf(1.0f + power_of_two(rate * z));
        return cap - 2.0f * cap * root * root;
    }
};

const float LOG2_E = 1.4426950408889634f;

__device__ inline Softcap softcap_of(const Head& p) { return {p.cap, 2.0f * LOG2_E / p.cap}; }

// What a block keeps of its rows: largest and sum over each warp's columns.
struct OfWarps {
    float2 v[SIDE][4];
};

// Largest and Σ e^(ℓ - largest) over a warp's columns of the row `half` of matrix `m`, for all lanes that own it.
__device__ inline float2 over_columns(const WarpSums& logits, u32 m, u32 half) {
    float largest = LOWEST;
    float sum = 0.0f;
#pragma unroll
    for (u32 n = 0; n < 4; n++) {
        largest = fmaxf(largest, fmaxf(logits.v[m][n][2 * half], logits.v[m][n][2 * half + 1]));
    }
    largest = largest_of_four(largest);
#pragma unroll
    for (u32 n = 0; n < 4; n++) {
        sum += power_of_two(LOG2_E * (logits.v[m][n][2 * half] - largest)) + power_of_two(LOG2_E * (logits.v[m][n][2 * half + 1] - largest));
    }
    return make_float2(largest, sum_of_four(sum));
}

template <class Word>
__device__ inline void partial(SlicePair (&stages)[2], OfWarps& kept, const Act* x, const Word* e, const u32* targets,
                               float* partials, float* hits, const Head& p) {
    const u32 row = blockIdx.x / p.tiles * SIDE;
    const u32 col = blockIdx.x % p.tiles * SIDE;
    WarpSums logits = multiply_bf16<true, true>(stages, left_lines(p, x), right_lines(p, e), row, col, 0, p.depth);
    const Softcap softcap = softcap_of(p);
    const u32 warp_row = threadIdx.x / 128 * 64 + threadIdx.x % 32 / 4;
    const u32 warp_column = threadIdx.x / 32 % 4;
    const u32 j = col + 32 * warp_column + 2 * (threadIdx.x % 4);
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        const u32 in_tile = warp_row + 8 * i;
        const u32 target = row + in_tile < p.rows ? targets[row + in_tile] : p.cols;
#pragma unroll
        for (u32 k = 0; k < 8; k++) {
            float& logit = logits.v[i / 2][k / 2][2 * (i % 2) + k % 2];
            const u32 own = j + k / 2 * 8 + k % 2;
            logit = own < p.cols ? softcap.squash(logit) : LOWEST;
            if (own < p.cols && own == target) hits[row + in_tile] = logit;
        }
        // Where all is outside, the sum is not 0, but what is below every logit shrinks it to 0 when warps are added up.
        const float2 own = over_columns(logits, i / 2, i % 2);
        if (threadIdx.x % 4 == 0) kept.v[in_tile][warp_column] = own;
    }
    __syncthreads();
    const u32 own = threadIdx.x;
    if (own >= SIDE || row + own >= p.rows) return;
    float largest = LOWEST;
    float sum = 0.0f;
    for (u32 warp = 0; warp < 4; warp++) largest = fmaxf(largest, kept.v[own][warp].x);
    for (u32 warp = 0; warp < 4; warp++) sum += kept.v[own][warp].y * expf(kept.v[own][warp].x - largest);
    const u32 at = 2 * ((row + own) * p.tiles + blockIdx.x % p.tiles);
    partials[at] = largest;
    partials[at + 1] = sum;
}

template <class Word>
__device__ inline void slope(SlicePair (&stages)[2], const Act* x, const Word* e, const u32* targets, const float* lse,
                             const float* dnll, Act* dz, const Head& p) {
    const u32 row = blockIdx.x / p.tiles * SIDE;
    const u32 col = blockIdx.x % p.tiles * SIDE;
    const WarpSums products = multiply_bf16<true, true>(stages, left_lines(p, x), right_lines(p, e), row, col, 0, p.depth);
    const Softcap softcap = softcap_of(p);
    const float share = 1.0f / p.cap;
    const u32 first = row + threadIdx.x / 128 * 64 + threadIdx.x % 32 / 4;
    const u32 j = col + threadIdx.x / 32 % 4 * 32 + 2 * (threadIdx.x % 4);
#pragma unroll
    for (u32 i = 0; i < 8; i++) {
        const u32 at = first + 8 * i;
        if (at >= p.rows) continue;
        const u32 token = p.first_row + at;
        const u32 target = targets[token];
        const float scale = dnll[token];
        const float shift = LOG2_E * lse[token];
        const auto slope_at = [&](u32 column, float z) {
            const float logit = softcap.squash(z);
            const float of_cap = share * logit;
            const float weight = power_of_two(LOG2_E * logit - shift) - (column == target ? 1.0f : 0.0f);
            return weight * scale * (1.0f - of_cap * of_cap);
        };
#pragma unroll
        for (u32 n = 0; n < 4; n++) {
            const u32 column = j + 8 * n;
            const float* z = products.v[i / 2][n] + 2 * (i % 2);
            const float own = slope_at(column, z[0]);
            const float next = slope_at(column + 1, z[1]);
            Act* to = dz + at * p.cols + column;
            if (p.cols % 2 == 0) {
                if (column < p.cols) store_two(to, own, next);
            } else {
                if (column < p.cols) to[0] = own;
                if (column + 1 < p.cols) to[1] = next;
            }
        }
    }
}

// targets: [n]; partials: [n, tiles, 2], largest and sum; hits: [n]
extern "C" __global__ void __launch_bounds__(256)
head_partial_bf16_f32(const Act* x, const float* e, const u32* targets, float* partials, float* hits, Head p) {
    __shared__ SlicePair stages[2];
    __shared__ OfWarps kept;
    partial(stages, kept, x, e, targets, partials, hits, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_partial_bf16_packed(const Act* x, const u32* e, const u32* targets, float* partials, float* hits, Head p) {
    __shared__ SlicePair stages[2];
    __shared__ OfWarps kept;
    partial(stages, kept, x, e, targets, partials, hits, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_slope_bf16_f32(const Act* x, const float* e, const u32* targets, const float* lse, const float* dnll, Act* dz,
                    Head p) {
    __shared__ SlicePair stages[2];
    slope(stages, x, e, targets, lse, dnll, dz, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_slope_bf16_packed(const Act* x, const u32* e, const u32* targets, const float* lse, const float* dnll, Act* dz,
                       Head p) {
    __shared__ SlicePair stages[2];
    slope(stages, x, e, targets, lse, dnll, dz, p);
}
