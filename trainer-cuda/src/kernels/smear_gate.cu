// smear_gate: (x[n,d], gate[d]) → (1-g)⊙x_t + g⊙x_{t-1}, g = sigmoid(gate), zeros before the first of each window of seq
// rows. smear_gate_cached: (x[n,d], gate[d], cache[w,d], position i32[1]): the predecessor of the first row is row
// position - 1 of the cache, or zeros. One thread per element.
// smear_gate_grad: (x[n,d], gate[d], dy[n,d]) → (dx[n,d], dgate[d]): dx_t = (1-g)⊙dy_t + g⊙dy_{t+1},
// dgate = Σ_t g(1-g)⊙(x_{t-1} - x_t)⊙dy_t.

#include "shared/column_sums.cuh"
#include "shared/math.cuh"

// Of eight columns: g and 1 - g.
struct Gates {
    Eight before, own;
};

template <bool WHOLE> __device__ inline Gates gates_at(const float* gate, u32 c, u32 d) {
    const Eight z = eight_from<WHOLE>(gate, c, d);
    return {eight_of([&](u32 k) { return sigmoid(z.v[k]).x; }), eight_of([&](u32 k) { return sigmoid(z.v[k]).y; })};
}

// Eights of a neighbouring row where there is one in the window, zeros elsewhere.
template <bool WHOLE> __device__ inline Eight eight_if(bool exists, const Act* x, u32 at, u32 end) {
    return eight_from<WHOLE>(x, at, exists ? end : at);
}

struct SmearGate {
    const Act* x;
    const float* gate;
    Act* y;
    u32 d, seq;

    template <bool WHOLE> __device__ Gates channels(u32 c) const { return gates_at<WHOLE>(gate, c, d); }

    template <bool WHOLE> __device__ void write(u32 row, u32 at, u32 end, const Gates& g) const {
        const Eight before = eight_if<WHOLE>(row % seq != 0, x, at - d, end - d);
        store_eight<WHOLE>(y, at, end, add_products(g.own * eight_from<WHOLE>(x, at, end), g.before, before));
    }
};

extern "C" __global__ void __launch_bounds__(256)
smear_gate(const Act* x, const float* gate, Act* y, u32 n, u32 d, u32 seq) {
    write_strips(SmearGate{x, gate, y, d, seq}, n, d);
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

    template <bool WHOLE> __device__ Gates channels(u32 c) const { return gates_at<WHOLE>(gate, c, d); }

    template <bool WHOLE> __device__ void add_terms(Sums& sums, u32 row, u32 at, u32 end, const Gates& g) const {
        const u32 t = row % seq;
        const Eight before = eight_if<WHOLE>(t != 0, x, at - d, end - d);
        const Eight own = eight_from<WHOLE>(x, at, end);
        const Eight slope = eight_from<WHOLE>(dy, at, end);
        const Eight after = eight_if<WHOLE>(t + 1 != seq, dy, at + d, end + d);
        store_eight<WHOLE>(dx, at, end, add_products(g.own * slope, g.before, after));
        const Eight step = add_products(before, own, -1.0f);
        sums.first = add_products(sums.first, g.before * g.own * step, slope);
    }
};

// partials: [chunks, d]
extern "C" __global__ void __launch_bounds__(256)
smear_gate_grad(const Act* x, const float* gate, const Act* dy, Act* dx, float* partials, u32 n, u32 d, u32 seq) {
    __shared__ OfWarps<SmearGateGrad> of_warps;
    column_sums(SmearGateGrad{x, gate, dy, dx, d, seq}, of_warps, partials, n, d);
}
