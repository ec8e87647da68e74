// residual_mix: (x[n,d], x0[n,d], mix[2,d]) → mix[0]⊙x + mix[1]⊙x0, one thread per four elements.
// residual_mix_grad: (x[n,d], x0[n,d], mix[2,d], dm[n,d]) → (dx[n,d], dx0[n,d], dmix[2,d]): dx = mix[0]⊙dm,
// dx0 = mix[1]⊙dm, dmix = [Σ_n x⊙dm, Σ_n x0⊙dm].

#include "shared/column_sums.cuh"
#include "shared/elements.cuh"

// n: elements
extern "C" __global__ void __launch_bounds__(256)
residual_mix(const Act* x, const Act* x0, const float* mix, Act* m, u32 n, u32 d) {
    map_two_by_channel(x, x0, m, n, d, [&](float x, float x0, u32 c) { return mix[c] * x + mix[d + c] * x0; });
}

struct ResidualMixGrad {
    static constexpr u32 SUMS = 2;
    const Act *x, *x0;
    const float* mix;
    const Act* dm;
    Act *dx, *dx0;
    u32 d;

    // Weights of the stream and of the stem.
    __device__ float2 channel(u32 c) const { return make_float2(mix[c], mix[d + c]); }

    __device__ float2 terms(u32, u32 i, float2 of_column) const {
        dx[i] = of_column.x * dm[i];
        dx0[i] = of_column.y * dm[i];
        return make_float2(x[i] * dm[i], x0[i] * dm[i]);
    }
};

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(64)
residual_mix_grad(const Act* x, const Act* x0, const float* mix, const Act* dm, Act* dx, Act* dx0, float* partials, u32 n, u32 d) {
    column_sums(ResidualMixGrad{x, x0, mix, dm, dx, dx0, d}, partials, n, d);
}
