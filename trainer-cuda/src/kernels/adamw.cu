// adamw: (p, m, v in place, g, clip[], lr_scale[], bias1[], bias2[]) with η = lr·lr_scale, g ← clip·g:
// m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², p ← (1-η·wd)p - η/bias1 · m/(√v/√bias2 + ε). One thread per element.

#include "shared/vector.cuh"

// p, m, v, g: [n]; `rest` is 1-β.
extern "C" __global__ void __launch_bounds__(256)
adamw(float* p, float* m, float* v, const float* g, const float* clip, const float* lr_scale, const float* bias1,
      const float* bias2, u32 n, float lr, float weight_decay, float beta1, float rest1, float beta2, float rest2,
      float epsilon) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n || !finite(*clip)) return;
    const float rate = lr * *lr_scale;
    const float grad = *clip * g[i];
    const float first = beta1 * m[i] + rest1 * grad;
    const float second = beta2 * v[i] + rest2 * grad * grad;
    m[i] = first;
    v[i] = second;
    const float step = rate / *bias1 * first / (sqrtf(second) / sqrtf(*bias2) + epsilon);
    // Decay as a subtraction: 1-η·wd itself would lose most digits of a small η·wd.
    p[i] -= rate * weight_decay * p[i] + step;
}
