// cache_write: (cache[w,d], x[n,d], position i32[1]) → cache with rows position .. position + n replaced by x, in place.
// One thread per element of x.

#include "shared/vector.cuh"

// n: elements of x
extern "C" __global__ void __launch_bounds__(256)
cache_write(const float* x, const u32* position, float* cache, u32 n, u32 d) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) cache[*position * d + i] = x[i];
}
