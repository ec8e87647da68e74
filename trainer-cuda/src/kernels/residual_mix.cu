// residual_mix: (x[n,d], x0[n,d], mix[2,d]) → mix[0]⊙x + mix[1]⊙x0.
// residual_mix_grad: (x[n,d], x0[n,d], mix[2,d], dm[n,d]) → (dx[n,d], dx0[n,d], dmix[2,d]): dx = mix[0]⊙dm,
// dx0 = mix[1]⊙dm, dmix = [Σ_n x⊙dm, Σ_n x0⊙dm].

#include "shared/column_sums.cuh"

// Weights of eight columns of the stream and of the stem.
struct Mix {
    Eight stream, stem;
};

template <bool WHOLE> __device__ inline Mix mix_at(const float* mix, u32 c, u32 d) {
    return {eight_from<WHOLE>(mix, c, d), eight_from<WHOLE>(mix, d + c, 2 * d)};
}

struct ResidualMix {
    const Act *x, *x0;
    const float* mix;
    Act* m;
    u32 d;

    template <bool WHOLE> __device__ Mix channels(u32 c) const { return mix_at<WHOLE>(mix, c, d); }

    template <bool WHOLE> __device__ void write(u32, u32 at, u32 end, const Mix& own) const {
        const Eight of_stream = own.stream * eight_from<WHOLE>(x, at, end);
        store_eight<WHOLE>(m, at, end, add_products(of_stream, own.stem, eight_from<WHOLE>(x0, at, end)));
    }
};

extern "C" __global__ void __launch_bounds__(256)
residual_mix(const Act* x, const Act* x0, const float* mix, Act* m, u32 n, u32 d) {
    write_strips(ResidualMix{x, x0, mix, m, d}, n, d);
}

struct ResidualMixGrad {
    static constexpr u32 SUMS = 2;
    const Act *x, *x0;
    const float* mix;
    const Act* dm;
    Act *dx, *dx0;
    u32 d;

    template <bool WHOLE> __device__ Mix channels(u32 c) const { return mix_at<WHOLE>(mix, c, d); }

    template <bool WHOLE> __device__ void add_terms(Sums& sums, u32, u32 at, u32 end, const Mix& own) const {
        const Eight stream = eight_from<WHOLE>(x, at, end);
        const Eight stem = eight_from<WHOLE>(x0, at, end);
        const Eight slope = eight_from<WHOLE>(dm, at, end);
        store_eight<WHOLE>(dx, at, end, own.stream * slope);
        store_eight<WHOLE>(dx0, at, end, own.stem * slope);
        sums.first = add_products(sums.first, stream, slope);
        sums.second = add_products(sums.second, stem, slope);
    }
};

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(256)
residual_mix_grad(const Act* x, const Act* x0, const float* mix, const Act* dm, Act* dx, Act* dx0, float* partials, u32 n, u32 d) {
    __shared__ OfWarps<ResidualMixGrad> of_warps;
    column_sums(ResidualMixGrad{x, x0, mix, dm, dx, dx0, d}, of_warps, partials, n, d);
}
