// channel_affine: (x[n,d], scale[d], bias[d]) → scale⊙x + bias, one thread per element.
// channel_affine_grad: (x[n,d], scale[d], dy[n,d]) → (dx[n,d], dscale[d], dbias[d]): dx = scale⊙dy, dscale = Σ_n x⊙dy,
// dbias = Σ_n dy.

#include "shared/activation.cuh"
#include "shared/column_sums.cuh"

// n: elements
extern "C" __global__ void __launch_bounds__(256)
channel_affine(const Act* x, const float* scale, const float* bias, Act* y, u32 n, u32 d) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = scale[i % d] * x[i] + bias[i % d];
}

struct ChannelAffineGrad {
    static constexpr u32 SUMS = 2;
    const Act* x;
    const float* scale;
    const Act* dy;
    Act* dx;

    __device__ float channel(u32 c) const { return scale[c]; }

    __device__ float2 terms(u32, u32 i, float of_column) const {
        dx[i] = of_column * dy[i];
        return make_float2(x[i] * dy[i], dy[i]);
    }
};

// partials: [chunks, 2, d]
extern "C" __global__ void __launch_bounds__(64)
channel_affine_grad(const Act* x, const float* scale, const Act* dy, Act* dx, float* partials, u32 n, u32 d) {
    column_sums(ChannelAffineGrad{x, scale, dy, dx}, partials, n, d);
}
