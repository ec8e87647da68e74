// head_cross_entropy: (x[n,d], e[v,d], targets i32[n]) → (nll[n], lse[n]) of logits cap·tanh(x·eᵀ/cap), none of which
// leaves its block. head_partial: per row and tile of 64 vocabulary entries the largest logit and Σ e^(ℓ - largest), per
// row the target's logit; a block per tile. head_combine: the tiles of a row in order; a thread per row.
// head_slope: (x, e, targets, lse[n], dnll[n]) → dz[chunk, v] = (e^(ℓ - lse) - 1[target])·dnll·(1 - (ℓ/cap)²) for a chunk
// of rows, from which products form the gradients; a block per tile.

#include "shared/head.cuh"
#include "shared/operand.cuh"
#include "shared/tile.cuh"

struct HeadLeft {
    const float* x;
    u32 rows, depth;

    __device__ float load(u32 i, u32 l) const { return i < rows && l < depth ? x[i * depth + l] : 0.0f; }
    __device__ bool by_depth() const { return true; }
};

__device__ inline HeadLeft left_of(const Head& p, const float* x) { return {x + p.first_row * p.depth, p.rows, p.depth}; }

__device__ inline PlainOperand right_of(const Head& p, const float* e) { return {e, p.depth, p.cols, 1, p.depth}; }

__device__ inline PackedOperand right_of(const Head& p, const u32* e) {
    return {e, p.depth, p.cols, 1, p.bits, p.row_words};
}

// A thread's four columns of one row, squashed; LOWEST outside the vocabulary.
__device__ inline float4 logits_of(const Head& p, float4 z, u32 j) {
    return make_float4(j < p.cols ? squash(z.x, p.cap) : LOWEST, j + 1 < p.cols ? squash(z.y, p.cap) : LOWEST,
                       j + 2 < p.cols ? squash(z.z, p.cap) : LOWEST, j + 3 < p.cols ? squash(z.w, p.cap) : LOWEST);
}

__device__ inline float component(float4 v, u32 k) { return k == 0 ? v.x : k == 1 ? v.y : k == 2 ? v.z : v.w; }

// What a block keeps of its rows: [64 rows][16 threads].
struct Partials {
    float largest[64][16];
    float sum[64][16];
};

template <class Word>
__device__ inline void partial(Slices<1>& slices, Partials& kept, const float* x, const Word* e, const u32* targets,
                               float* partials, float* hits, const Head& p) {
    const u32 row = blockIdx.x / p.tiles * 64;
    const u32 col = blockIdx.x % p.tiles * 64;
    const Accumulators<1> products = multiply<1>(slices, left_of(p, x), right_of(p, e), row, col, p.depth);
    const u32 ty = threadIdx.x / 16;
    const u32 tx = threadIdx.x % 16;
    const u32 j = col + 4 * tx;
    float4 logits[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        logits[i] = logits_of(p, products.v[i], j);
        kept.largest[4 * ty + i][tx] = largest_in(logits[i]);
        const u32 at = row + 4 * ty + i;
        if (at < p.rows && targets[at] >= j && targets[at] - j < 4) hits[at] = component(logits[i], targets[at] - j);
    }
    __syncthreads();
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        float largest = LOWEST;
        for (u32 k = 0; k < 16; k++) largest = fmaxf(largest, kept.largest[4 * ty + i][k]);
        // The exponential of what is outside is that of a number below every difference: zero.
        kept.sum[4 * ty + i][tx] = sum_in(exp_of(logits[i] - splat(largest)));
    }
    __syncthreads();
    const u32 own = threadIdx.x;
    if (own >= 64 || row + own >= p.rows) return;
    float largest = LOWEST;
    float sum = 0.0f;
    for (u32 k = 0; k < 16; k++) largest = fmaxf(largest, kept.largest[own][k]);
    for (u32 k = 0; k < 16; k++) sum += kept.sum[own][k];
    const u32 at = 2 * ((row + own) * p.tiles + blockIdx.x % p.tiles);
    partials[at] = largest;
    partials[at + 1] = sum;
}

template <class Word>
__device__ inline void slope(Slices<1>& slices, const float* x, const Word* e, const u32* targets, const float* lse,
                             const float* dnll, float* dz, const Head& p) {
    const u32 row = blockIdx.x / p.tiles * 64;
    const u32 col = blockIdx.x % p.tiles * 64;
    const Accumulators<1> products = multiply<1>(slices, left_of(p, x), right_of(p, e), row, col, p.depth);
    const u32 j = col + 4 * (threadIdx.x % 16);
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        const u32 at = row + 4 * (threadIdx.x / 16) + i;
        if (at >= p.rows) continue;
        const u32 token = p.first_row + at;
        for (u32 k = 0; k < 4 && j + k < p.cols; k++) {
            const float logit = squash(component(products.v[i], k), p.cap);
            dz[at * p.cols + j + k] = slope_of(logit, lse[token], dnll[token], targets[token] == j + k, p.cap);
        }
    }
}

// targets: [n]; partials: [n, tiles, 2], largest and sum; hits: [n]
extern "C" __global__ void __launch_bounds__(256)
head_partial_f32(const float* x, const float* e, const u32* targets, float* partials, float* hits, Head p) {
    __shared__ Slices<1> slices;
    __shared__ Partials kept;
    partial(slices, kept, x, e, targets, partials, hits, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_partial_packed(const float* x, const u32* e, const u32* targets, float* partials, float* hits, Head p) {
    __shared__ Slices<1> slices;
    __shared__ Partials kept;
    partial(slices, kept, x, e, targets, partials, hits, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_slope_f32(const float* x, const float* e, const u32* targets, const float* lse, const float* dnll, float* dz,
               Head p) {
    __shared__ Slices<1> slices;
    slope(slices, x, e, targets, lse, dnll, dz, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_slope_packed(const float* x, const u32* e, const u32* targets, const float* lse, const float* dnll, float* dz,
                  Head p) {
    __shared__ Slices<1> slices;
    slope(slices, x, e, targets, lse, dnll, dz, p);
}

extern "C" __global__ void __launch_bounds__(256)
head_combine(const float* partials, const float* hits, float* nll, float* lse, u32 n, u32 tiles) {
    const u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= n) return;
    const float* own = partials + 2 * row * tiles;
    float largest = LOWEST;
    float sum = 0.0f;
    for (u32 tile = 0; tile < tiles; tile++) largest = fmaxf(largest, own[2 * tile]);
    for (u32 tile = 0; tile < tiles; tile++) sum += own[2 * tile + 1] * expf(own[2 * tile] - largest);
    // The difference to the target is formed before the logarithm joins: both logits may be large.
    nll[row] = (largest - hits[row]) + logf(sum);
    lse[row] = largest + logf(sum);
}
