// sgd: (p, m in place, g, clip[], lr_scale[]): m ← μ·m + clip·g, p ← p - lr·lr_scale·m. One thread per element.

#include "shared/vector.cuh"

// p, m, g: [n]
extern "C" __global__ void __launch_bounds__(256)
sgd(float* p, float* m, const float* g, const float* clip, const float* lr_scale, u32 n, float lr, float momentum) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || !finite(*clip)) return;
    const float velocity = momentum * m[i] + *clip * g[i];
    m[i] = velocity;
    p[i] -= lr * *lr_scale * velocity;
}
