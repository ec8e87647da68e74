// qk_norm_rope: (x[n,h,c], gain[h]?) → y[n,h,c] = gain · R_t(x/√(mean x² + ε)), R_t the rotation of the first 2·half
// channels by the token's angles; tokens are windows of seq. qk_norm_rope_at: the same from a run-time position on.
// qk_norm_rope_grad: (x, gain?, dy) → dx, and dots[n,h] = rotated·dy, which qk_norm_rope_gain sums to
// dgain[h]. One warp per head of a token: heads are narrow and many.

#include "shared/activation.cuh"
#include "shared/reduce.cuh"

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
};

__device__ inline float gain_of(const Rope& p, const float* gain, u32 item) {
    return p.has_gain ? gain[item % p.heads] : 1.0f;
}

// Of an item whose token stands at `place` of its window; angles[seq, half] are (cos, sin).
__device__ inline void normalize_and_turn(const Rope& p, const Act* x, const float* gain, const float2* angles, Act* y,
                                          u32 item, u32 place) {
    const u32 lane = threadIdx.x % WARP;
    const u32 row = item * p.width;
    float square = 0.0f;
    for (u32 c = lane; c < p.width; c += WARP) square += x[row + c] * x[row + c];
    const float factor = gain_of(p, gain, item) * rsqrtf(warp_sum(square) / (float)p.width + EPSILON);
    for (u32 i = lane; i < p.half; i += WARP) {
        const float2 turn = angles[place * p.half + i];
        const float a = factor * x[row + i];
        const float b = factor * x[row + p.half + i];
        y[row + i] = a * turn.x + b * turn.y;
        y[row + p.half + i] = b * turn.x - a * turn.y;
    }
    for (u32 c = 2 * p.half + lane; c < p.width; c += WARP) y[row + c] = factor * x[row + c];
}

extern "C" __global__ void __launch_bounds__(256)
qk_norm_rope(const Act* x, const float* gain, const float2* angles, Act* y, Rope p) {
    const u32 item = warp_index();
    if (item < p.items) normalize_and_turn(p, x, gain, angles, y, item, item / p.heads % p.seq);
}

// position: i32[1]
extern "C" __global__ void __launch_bounds__(256)
qk_norm_rope_at(const Act* x, const float* gain, const float2* angles, const u32* position, Act* y, Rope p) {
    const u32 item = warp_index();
    if (item < p.items) normalize_and_turn(p, x, gain, angles, y, item, *position + item / p.heads);
}

// Channels i and i + half of dy, turned back.
__device__ inline float2 turned_back(const Act* dy, float2 turn, u32 first, u32 half) {
    const float a = dy[first];
    const float b = dy[first + half];
    return make_float2(a * turn.x - b * turn.y, b * turn.x + a * turn.y);
}

extern "C" __global__ void __launch_bounds__(256)
qk_norm_rope_grad(const Act* x, const float* gain, const float2* angles, const Act* dy, Act* dx, float* dots, Rope p) {
    const u32 item = warp_index();
    if (item >= p.items) return;
    const u32 lane = threadIdx.x % WARP;
    const u32 row = item * p.width;
    const float2* turns = angles + item / p.heads % p.seq * p.half;
    // Σ x² and Σ x·u, u = dy turned back: a rotation keeps products, so the second is rotated·dy but for 1/rms.
    float square = 0.0f;
    float product = 0.0f;
    for (u32 i = lane; i < p.half; i += WARP) {
        const float a = x[row + i];
        const float b = x[row + p.half + i];
        const float2 u = turned_back(dy, turns[i], row + i, p.half);
        square += a * a + b * b;
        product += a * u.x + b * u.y;
    }
    for (u32 c = 2 * p.half + lane; c < p.width; c += WARP) {
        square += x[row + c] * x[row + c];
        product += x[row + c] * dy[row + c];
    }
    product = warp_sum(product);
    const float r = rsqrtf(warp_sum(square) / (float)p.width + EPSILON);
    const float outer = r * gain_of(p, gain, item);
    const float inner = r * r * (product / (float)p.width);
    for (u32 i = lane; i < p.half; i += WARP) {
        const float2 u = turned_back(dy, turns[i], row + i, p.half);
        dx[row + i] = outer * (u.x - x[row + i] * inner);
        dx[row + p.half + i] = outer * (u.y - x[row + p.half + i] * inner);
    }
    for (u32 c = 2 * p.half + lane; c < p.width; c += WARP) dx[row + c] = outer * (dy[row + c] - x[row + c] * inner);
    if (lane == 0) dots[item] = r * product;
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
