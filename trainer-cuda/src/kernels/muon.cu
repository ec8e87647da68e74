// nesterov_momentum: (m in place, g, clip[], mu[]) → u: m ← μ·m + clip·g, u = clip·g + μ·m.
// muon_apply: (w[r,c] in place, o[r,c], lr_scale[]) with update = lr·√max(1,r/c), decay = lr·wd, both times lr_scale:
// w ← (1-decay)·w - update·o, or (1-decay)·(w - update·o). One thread per element.

#include "shared/vector.cuh"

// m, u, g: [n]
extern "C" __global__ void __launch_bounds__(256)
nesterov_momentum(float* m, float* u, const float* g, const float* clip, const float* mu, u32 n) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    if (!finite(*clip)) {
        u[i] = 0.0f;
        return;
    }
    const float grad = *clip * g[i];
    const float momentum = *mu * m[i] + grad;
    m[i] = momentum;
    u[i] = grad + *mu * momentum;
}

// w, o: [n]
extern "C" __global__ void __launch_bounds__(256)
muon_apply(float* w, const float* o, const float* lr_scale, u32 n, float update, float decay, u32 decay_first) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const float step = update * *lr_scale * o[i];
    // Decay as a subtraction: 1-decay itself would lose most digits of a small decay.
    const float shrink = decay * *lr_scale;
    if (decay_first != 0) {
        w[i] -= shrink * w[i] + step;
    } else {
        const float moved = w[i] - step;
        w[i] = moved - shrink * moved;
    }
}
