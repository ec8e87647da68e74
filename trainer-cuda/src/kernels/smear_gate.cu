// smear_gate: (x[n,d], gate[d]) → (1-g)⊙x_t + g⊙x_{t-1}, g = sigmoid(gate), zeros before the first of each window of seq
// rows. smear_gate_cached: (x[n,d], gate[d], cache[w,d], position i32[1]): the predecessor of the first row is row
// position - 1 of the cache, or zeros. One thread per element.
// smear_gate_grad: (x[n,d], gate[d], dy[n,d]) → (dx[n,d], dgate[d]): dx_t = (1-g)⊙dy_t + g⊙dy_{t+1},
// dgate = Σ_t g(1-g)⊙(x_{t-1} - x_t)⊙dy_t.

#include "shared/activation.cuh"
#include "shared/column_sums.cuh"
#include "shared/math.cuh"

// n: elements
extern "C" __global__ void __launch_bounds__(256)
smear_gate(const Act* x, const float* gate, Act* y, u32 n, u32 d, u32 seq) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float2 g = sigmoid(gate[i % d]);
    const float before = i / d % seq != 0 ? x[i - d] : 0.0f;
    y[i] = g.y * x[i] + g.x * before;
}

// n: elements
extern "C" __global__ void __launch_bounds__(256)
smear_gate_cached(const float* x, const float* gate, const float* cache, const u32* position, float* y, u32 n, u32 d) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float before = 0.0f;
    if (i >= d) {
        before = x[i - d];
    } else if (*position > 0) {
        before = cache[(*position - 1) * d + i];
    }
    const float2 g = sigmoid(gate[i % d]);
    y[i] = g.y * x[i] + g.x * before;
}

struct SmearGateGrad {
    static constexpr u32 SUMS = 1;
    const Act* x;
    const float* gate;
    const Act* dy;
    Act* dx;
    u32 d, seq;

    __device__ float2 channel(u32 c) const { return sigmoid(gate[c]); }

    __device__ float2 terms(u32 row, u32 i, float2 g) const {
        const u32 t = row % seq;
        const float before = t != 0 ? x[i - d] : 0.0f;
        const float after = t + 1 != seq ? dy[i + d] : 0.0f;
        dx[i] = g.y * dy[i] + g.x * after;
        return make_float2(g.x * g.y * (before - x[i]) * dy[i], 0.0f);
    }
};

// partials: [chunks, d]
extern "C" __global__ void __launch_bounds__(64)
smear_gate_grad(const Act* x, const float* gate, const Act* dy, Act* dx, float* partials, u32 n, u32 d, u32 seq) {
    column_sums(SmearGateGrad{x, gate, dy, dx, d, seq}, partials, n, d);
}
