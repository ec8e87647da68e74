// add_scaled: (x[n,d], scale[d], y[n,d]) → x + scale⊙y.
// add_scaled_grad: (scale[d], y[n,d], dz[n,d]) → (dscale[d], dy[n,d]): dy = scale⊙dz, dscale = Σ_n y⊙dz.

#include "shared/column_sums.cuh"

struct AddScaled {
    const Act* x;
    const float* scale;
    const Act* y;
    Act* z;
    u32 d;

    template <bool WHOLE> __device__ Eight channels(u32 c) const { return eight_from<WHOLE>(scale, c, d); }

    template <bool WHOLE> __device__ void write(u32, u32 at, u32 end, const Eight& own) const {
        const Eight stream = eight_from<WHOLE>(x, at, end);
        store_eight<WHOLE>(z, at, end, add_products(stream, own, eight_from<WHOLE>(y, at, end)));
    }
};

extern "C" __global__ void __launch_bounds__(256)
add_scaled(const Act* x, const float* scale, const Act* y, Act* z, u32 n, u32 d) {
    write_strips(AddScaled{x, scale, y, z, d}, n, d);
}

struct AddScaledGrad {
    static constexpr u32 SUMS = 1;
    const float* scale;
    const Act *y, *dz;
    Act* dy;
    u32 d;

    template <bool WHOLE> __device__ Eight channels(u32 c) const { return eight_from<WHOLE>(scale, c, d); }

    template <bool WHOLE> __device__ void add_terms(Sums& sums, u32, u32 at, u32 end, const Eight& own) const {
        const Eight from = eight_from<WHOLE>(y, at, end);
        const Eight slope = eight_from<WHOLE>(dz, at, end);
        store_eight<WHOLE>(dy, at, end, own * slope);
        sums.first = add_products(sums.first, from, slope);
    }
};

// partials: [chunks, d]
extern "C" __global__ void __launch_bounds__(256)
add_scaled_grad(const float* scale, const Act* y, const Act* dz, Act* dy, float* partials, u32 n, u32 d) {
    __shared__ OfWarps<AddScaledGrad> of_warps;
    column_sums(AddScaledGrad{scale, y, dz, dy, d}, of_warps, partials, n, d);
}
