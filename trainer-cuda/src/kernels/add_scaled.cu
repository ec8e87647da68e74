// add_scaled: (x[n,d], scale[d], y[n,d]) → x + scale⊙y, one thread per four elements.
// add_scaled_grad: (scale[d], y[n,d], dz[n,d]) → (dscale[d], dy[n,d]): dy = scale⊙dz, dscale = Σ_n y⊙dz.

#include "shared/column_sums.cuh"
#include "shared/elements.cuh"

// n: elements
extern "C" __global__ void __launch_bounds__(256)
add_scaled(const Act* x, const float* scale, const Act* y, Act* z, u32 n, u32 d) {
    map_two_by_channel(x, y, z, n, d, [&](float x, float y, u32 c) { return x + scale[c] * y; });
}

struct AddScaledGrad {
    static constexpr u32 SUMS = 1;
    const float* scale;
    const Act *y, *dz;
    Act* dy;

    __device__ float channel(u32 c) const { return scale[c]; }

    __device__ float2 terms(u32, u32 i, float of_column) const {
        dy[i] = of_column * dz[i];
        return make_float2(y[i] * dz[i], 0.0f);
    }
};

// partials: [chunks, d]
extern "C" __global__ void __launch_bounds__(64)
add_scaled_grad(const float* scale, const Act* y, const Act* dz, Act* dy, float* partials, u32 n, u32 d) {
    column_sums(AddScaledGrad{scale, y, dz, dy}, partials, n, d);
}
