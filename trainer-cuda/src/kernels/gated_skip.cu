// gated_skip: (x[n,d], s[n,d], weight[d], gate[d]) → γ⊙x + (1-γ)⊙weight⊙s, γ = sigmoid(gate), one thread per four elements.
// gated_skip_grad: (x, s, weight, gate, dy[n,d]) → (dx[n,d], ds[n,d], dweight[d], dgate[d]): dx = γ⊙dy,
// ds = (1-γ)⊙weight⊙dy, dweight = Σ_n (1-γ)⊙s⊙dy, dgate = Σ_n γ(1-γ)⊙(x - weight⊙s)⊙dy.

#include "shared/column_sums.cuh"
#include "shared/elements.cuh"
#include "shared/math.cuh"

// n: elements
extern "C" __global__ void __launch_bounds__(256)
gated_skip(const Act* x, const Act* s, const float* weight, const float* gate, Act* y, u32 n, u32 d) {
    map_two_by_channel(x, s, y, n, d, [&](float x, float s, u32 c) {
        const float2 gamma = sigmoid(gate[c]);
        return gamma.x * x + gamma.y * weight[c] * s;
    });
}

struct GatedSkipGrad {
    static constexpr u32 SUMS = 2;
    const Act *x, *s;
    const float *weight, *gate;
    const Act* dy;
    Act *dx, *ds;

    // The gate's value is `open` for x and `rest` = 1 - open for s.
    struct Channel {
        float weight, open, rest;
    };

    __device__ Channel channel(u32 c) const {
        const float2 gamma = sigmoid(gate[c]);
        return {weight[c], gamma.x, gamma.y};
    }

    __device__ float2 terms(u32, u32 i, Channel of_column) const {
        const float through = of_column.open * dy[i];
        const float beside = of_column.rest * dy[i];
        dx[i] = through;
        ds[i] = of_column.weight * beside;
        return make_float2(s[i] * beside, through * of_column.rest * (x[i] - of_column.weight * s[i]));
    }
};

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(64)
gated_skip_grad(const Act* x, const Act* s, const float* weight, const float* gate, const Act* dy, Act* dx, Act* ds, float* partials, u32 n, u32 d) {
    column_sums(GatedSkipGrad{x, s, weight, gate, dy, dx, ds}, partials, n, d);
}
