// channel_affine: (x[n,d], scale[d], bias[d]) → scale⊙x + bias.
// channel_affine_grad: (x[n,d], scale[d], dy[n,d]) → (dx[n,d], dscale[d], dbias[d]): dx = scale⊙dy, dscale = Σ_n x⊙dy,
// dbias = Σ_n dy.

#include "shared/column_sums.cuh"

// Of eight columns.
struct Affine {
    Eight scale, bias;
};

struct ChannelAffine {
    const Act* x;
    const float *scale, *bias;
    Act* y;
    u32 d;

    template <bool WHOLE> __device__ Affine channels(u32 c) const {
        return {eight_from<WHOLE>(scale, c, d), eight_from<WHOLE>(bias, c, d)};
    }

    template <bool WHOLE> __device__ void write(u32, u32 at, u32 end, const Affine& own) const {
        store_eight<WHOLE>(y, at, end, add_products(own.bias, own.scale, eight_from<WHOLE>(x, at, end)));
    }
};

extern "C" __global__ void __launch_bounds__(256)
channel_affine(const Act* x, const float* scale, const float* bias, Act* y, u32 n, u32 d) {
    write_strips(ChannelAffine{x, scale, bias, y, d}, n, d);
}

struct ChannelAffineGrad {
    static constexpr u32 SUMS = 2;
    const Act* x;
    const float* scale;
    const Act* dy;
    Act* dx;
    u32 d;

    template <bool WHOLE> __device__ Eight channels(u32 c) const { return eight_from<WHOLE>(scale, c, d); }

    template <bool WHOLE> __device__ void add_terms(Sums& sums, u32, u32 at, u32 end, const Eight& own) const {
        const Eight from = eight_from<WHOLE>(x, at, end);
        const Eight slope = eight_from<WHOLE>(dy, at, end);
        store_eight<WHOLE>(dx, at, end, own * slope);
        sums.first = add_products(sums.first, from, slope);
        sums.second = add_products(sums.second, slope, 1.0f);
    }
};

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(256)
channel_affine_grad(const Act* x, const float* scale, const Act* dy, Act* dx, float* partials, u32 n, u32 d) {
    __shared__ OfWarps<ChannelAffineGrad> of_warps;
    column_sums(ChannelAffineGrad{x, scale, dy, dx, d}, of_warps, partials, n, d);
}
