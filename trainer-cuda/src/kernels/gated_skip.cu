// gated_skip: (x[n,d], s[n,d], weight[d], gate[d]) → γ⊙x + (1-γ)⊙weight⊙s, γ = sigmoid(gate).
// gated_skip_grad: (x, s, weight, gate, dy[n,d]) → (dx[n,d], ds[n,d], dweight[d], dgate[d]): dx = γ⊙dy,
// ds = (1-γ)⊙weight⊙dy, dweight = Σ_n (1-γ)⊙s⊙dy, dgate = Σ_n γ(1-γ)⊙(x - weight⊙s)⊙dy.

#include "shared/column_sums.cuh"
#include "shared/math.cuh"

// Of eight columns: the gate's value is `open` for x and `rest` = 1 - open for s.
struct Gates {
    Eight weight, open, rest;
};

template <bool WHOLE> __device__ inline Gates gates_at(const float* weight, const float* gate, u32 c, u32 d) {
    const Eight z = eight_from<WHOLE>(gate, c, d);
    return {eight_from<WHOLE>(weight, c, d), eight_of([&](u32 k) { return sigmoid(z.v[k]).x; }),
            eight_of([&](u32 k) { return sigmoid(z.v[k]).y; })};
}

struct GatedSkip {
    const Act *x, *s;
    const float *weight, *gate;
    Act* y;
    u32 d;

    template <bool WHOLE> __device__ Gates channels(u32 c) const { return gates_at<WHOLE>(weight, gate, c, d); }

    template <bool WHOLE> __device__ void write(u32, u32 at, u32 end, const Gates& own) const {
        const Eight through = own.open * eight_from<WHOLE>(x, at, end);
        const Eight skipped = own.weight * eight_from<WHOLE>(s, at, end);
        store_eight<WHOLE>(y, at, end, add_products(through, own.rest, skipped));
    }
};

extern "C" __global__ void __launch_bounds__(256)
gated_skip(const Act* x, const Act* s, const float* weight, const float* gate, Act* y, u32 n, u32 d) {
    write_strips(GatedSkip{x, s, weight, gate, y, d}, n, d);
}

struct GatedSkipGrad {
    static constexpr u32 SUMS = 2;
    const Act *x, *s;
    const float *weight, *gate;
    const Act* dy;
    Act *dx, *ds;
    u32 d;

    template <bool WHOLE> __device__ Gates channels(u32 c) const { return gates_at<WHOLE>(weight, gate, c, d); }

    template <bool WHOLE> __device__ void add_terms(Sums& sums, u32, u32 at, u32 end, const Gates& own) const {
        const Eight stream = eight_from<WHOLE>(x, at, end);
        const Eight skipped = eight_from<WHOLE>(s, at, end);
        const Eight slope = eight_from<WHOLE>(dy, at, end);
        const Eight through = own.open * slope;
        const Eight beside = own.rest * slope;
        store_eight<WHOLE>(dx, at, end, through);
        store_eight<WHOLE>(ds, at, end, own.weight * beside);
        const Eight apart = add_products(stream, own.weight * -1.0f, skipped);
        sums.first = add_products(sums.first, skipped, beside);
        sums.second = add_products(sums.second, through * own.rest, apart);
    }
};

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(256)
gated_skip_grad(const Act* x, const Act* s, const float* weight, const float* gate, const Act* dy, Act* dx, Act* ds, float* partials, u32 n, u32 d) {
    __shared__ OfWarps<GatedSkipGrad> of_warps;
    column_sums(GatedSkipGrad{x, s, weight, gate, dy, dx, ds, d}, of_warps, partials, n, d);
}
