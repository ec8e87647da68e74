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
    own_eight(own.block, x.n, [&](Form form, u32 i) {
        const Eight grad = form.load(x.g, i) * coefficient;
        Eight p = form.load(x.p, i);
        Eight m = form.load(x.m, i);
        Eight v = form.load(x.v, i);
#pragma unroll
        for (u32 k = 0; k < 8; k++) {
            m.v[k] = beta1 * m.v[k] + rest1 * grad.v[k];
            v.v[k] = beta2 * v.v[k] + rest2 * grad.v[k] * grad.v[k];
            const float step = first_rate * m.v[k] / (sqrtf(v.v[k]) / second_root + epsilon);
            // Decay as a subtraction: 1-η·wd itself would lose most digits of a small η·wd.
            p.v[k] -= rate * weight_decay * p.v[k] + step;
        }
        form.store(x.m, i, m);
        form.store(x.v, i, v);
        form.store(x.p, i, p);
    });
}
