// qk_norm_rope: (x[n,h,c], gain[h]?) → y[n,h,c] = gain · R_t(x/√(mean x² + ε)), R_t the rotation of the first 2·half
// channels by the token's angles; tokens are windows of seq. qk_norm_rope_at: the same from a run-time position on.
// qk_norm_rope_grad: (x, gain?, dy) → dx, and dots[n,h] = rotated·dy, which qk_norm_rope_gain sums to
// dgain[h]. A few lanes per head of a token.

#include "shared/heads.cuh"

const float EPSILON = 1.1920929e-7f;

// Scalars of all three; the host passes them as so many words.
struct Rope {
    u32 items;     // n · h
    u32 heads;     // h
    u32 seq;       // tokens of a window
    u32 width;     // c
    u32 half;      // rotated pairs: channels i and i + half
    u32 has_gain;  // whether `gain` is one; otherwise any pointer stands in its place
    static constexpr const char* LETTERS = "uuuuuu";

    // Whether heads and the halves of their rotated channels are of whole eights.
    __device__ bool is_whole() const { return are_whole(width) && half % 8 == 0; }
};

// Channels from c on of the head at `row`, turned by the token's angles [half] of (cos, sin), or back for a `sign` of -1.
template <bool WHOLE>
__device__ inline Eight turned(const Rope& p, const HeadPlace<WHOLE>& head, const Act* x, u32 row, u32 c, const float2* angles, float sign) {
    const Eight own = head.load(x, row, c);
    const u32 rotated = min(2 * p.half, head.end);
    if (WHOLE) {
        if (c >= rotated) return own;
        // The other channels of all eight pairs are an eight too.
        const bool is_first = c < p.half;
        const Eight other = head.load(x, row, is_first ? c + p.half : c - p.half);
        const float4* of_eight = (const float4*)(angles + (is_first ? c : c - p.half));
        const float towards = is_first ? sign : -sign;
        Eight result;
#pragma unroll
        for (u32 k = 0; k < 8; k += 2) {
            const float4 two = of_eight[k / 2];
            result.v[k] = own.v[k] * two.x + towards * two.y * other.v[k];
            result.v[k + 1] = own.v[k + 1] * two.z + towards * two.w * other.v[k + 1];
        }
        return result;
    }
    return eight_of([&](u32 k) {
        if (c + k >= rotated) return own.v[k];
        const bool is_first = c + k < p.half;
        const float2 angle = angles[is_first ? c + k : c + k - p.half];
        const float other = x[row + (is_first ? c + k + p.half : c + k - p.half)];
        return own.v[k] * angle.x + (is_first ? sign : -sign) * angle.y * other;
    });
}

template <class Head> __device__ inline float gain_of(const Rope& p, const float* gain, const Head& head) {
    return p.has_gain ? gain[head.item % p.heads] : 1.0f;
}

// The first token stands at `start` of the angles.
template <bool WHOLE>
__device__ inline void normalize_and_turn(const Rope& p, const Act* x, const float* gain, const float2* angles, u32 start, Act* y) {
    const HeadPlace<WHOLE> head = head_place<WHOLE>(p.items, p.width);
    const u32 row = head.item * p.width;
    const float2* own_angles = angles + (start + head.item / p.heads % p.seq) * p.half;
    // A rotation keeps lengths.
    Eight own;
    float square = 0.0f;
    head.each([&](u32 c) {
        own = turned(p, head, x, row, c, own_angles, 1.0f);
        square += dot(own, own);
    });
    const float factor = gain_of(p, gain, head) * rsqrtf(head.sum(square) / (float)p.width + EPSILON);
    head.each([&](u32 c) {
        if (head.is_long()) own = turned(p, head, x, row, c, own_angles, 1.0f);
        head.store(y, row, c, own * factor);
    });
}

extern "C" __global__ void __launch_bounds__(256)
qk_norm_rope(const Act* x, const float* gain, const float2* angles, Act* y, Rope p) {
    p.is_whole() ? normalize_and_turn<true>(p, x, gain, angles, 0, y) : normalize_and_turn<false>(p, x, gain, angles, 0, y);
}

// position: i32[1]
extern "C" __global__ void __launch_bounds__(256)
qk_norm_rope_at(const Act* x, const float* gain, const float2* angles, const u32* position, Act* y, Rope p) {
    p.is_whole() ? normalize_and_turn<true>(p, x, gain, angles, *position, y)
                 : normalize_and_turn<false>(p, x, gain, angles, *position, y);
}

template <bool WHOLE>
__device__ inline void gradient(const Rope& p, const Act* x, const float* gain, const float2* angles, const Act* dy, Act* dx, float* dots) {
    const HeadPlace<WHOLE> head = head_place<WHOLE>(p.items, p.width);
    const u32 row = head.item * p.width;
    const float2* own_angles = angles + head.item / p.heads % p.seq * p.half;
    // Σ x² and Σ x·u, u = dy turned back: a rotation keeps products, so the second is rotated·dy but for 1/rms.
    Eight own, slope;
    float square = 0.0f;
    float product = 0.0f;
    head.each([&](u32 c) {
        own = head.load(x, row, c);
        slope = turned(p, head, dy, row, c, own_angles, -1.0f);
        square += dot(own, own);
        product += dot(own, slope);
    });
    product = head.sum(product);
    const float r = rsqrtf(head.sum(square) / (float)p.width + EPSILON);
    const float outer = r * gain_of(p, gain, head);
    const float inner = outer * r * r * (product / (float)p.width);
    head.each([&](u32 c) {
        if (head.is_long()) {
            own = head.load(x, row, c);
            slope = turned(p, head, dy, row, c, own_angles, -1.0f);
        }
        head.store(dx, row, c, add_products(slope * outer, own, -inner));
    });
    if (head.first == 0 && head.end > 0) dots[head.item] = r * product;
}

extern "C" __global__ void __launch_bounds__(256)
qk_norm_rope_grad(const Act* x, const float* gain, const float2* angles, const Act* dy, Act* dx, float* dots, Rope p) {
    p.is_whole() ? gradient<true>(p, x, gain, angles, dy, dx, dots) : gradient<false>(p, x, gain, angles, dy, dx, dots);
}

// Sums of chunks of `rows` rows of x[n, heads], to y[chunks, heads]; launched again over y until one row is left. A warp
// per chunk and column, as there are few columns and many rows.
extern "C" __global__ void __launch_bounds__(32)
qk_norm_rope_gain(const float* x, float* y, u32 n, u32 heads, u32 rows) {
    const u32 first = blockIdx.x / heads * rows;
    const u32 last = min(first + rows, n);
    float sum = 0.0f;
    for (u32 row = first + threadIdx.x; row < last; row += WARP) sum += x[row * heads + blockIdx.x % heads];
    const float total = warp_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = total;
}
