// adamw: rows of (p, m, v in place, g), and (clip[], lr_scale[], bias1[], bias2[]) with η = lr·lr_scale, g ← clip·g:
// m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², p ← (1-η·wd)p - η/bias1 · m/(√v/√bias2 + ε). One block per piece of a row.

#include "shared/rows.cuh"

// All of [n].
struct AdamWRow {
    float* p;
    float* m;
    float* v;
    const float* g;
    u32 n;
};

// `rest` is 1-β.
extern "C" __global__ void __launch_bounds__(256)
adamw(Rows<AdamWRow> table, const float* clip, const float* lr_scale, const float* bias1, const float* bias2, u32 rows,
      float lr, float weight_decay, float beta1, float rest1, float beta2, float rest2, float epsilon) {
    __shared__ u32 found;
    const Own<AdamWRow> own = table.own(rows, found);
    const AdamWRow& x = own.row;
    const float coefficient = *clip;
    if (!finite(coefficient)) return;
    const float rate = lr * *lr_scale;
    const float first_rate = rate / *bias1;
    const float second_root = sqrtf(*bias2);
    each_of_piece(own.block, x.n, [&](u32 i) {
        const float grad = coefficient * x.g[i];
        const float first = beta1 * x.m[i] + rest1 * grad;
        const float second = beta2 * x.v[i] + rest2 * grad * grad;
        x.m[i] = first;
        x.v[i] = second;
        const float step = first_rate * first / (sqrtf(second) / second_root + epsilon);
        // Decay as a subtraction: 1-η·wd itself would lose most digits of a small η·wd.
        x.p[i] -= rate * weight_decay * x.p[i] + step;
    });
}
