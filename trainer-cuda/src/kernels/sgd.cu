// sgd: rows of (p, m in place, g), and (clip[], lr_scale[]): m ← μ·m + clip·g, p ← p - lr·lr_scale·m. One block per piece of a
// row.

#include "shared/rows.cuh"

// All of [n].
struct SgdRow {
    float* p;
    float* m;
    const float* g;
    u32 n;
};

extern "C" __global__ void __launch_bounds__(256)
sgd(Rows<SgdRow> table, const float* clip, const float* lr_scale, u32 rows, float lr, float momentum) {
    __shared__ u32 found;
    const Own<SgdRow> own = table.own(rows, found);
    const SgdRow& x = own.row;
    const float coefficient = *clip;
    if (!finite(coefficient)) return;
    const float rate = lr * *lr_scale;
    each_of_piece(own.block, x.n, [&](u32 i) {
        const float velocity = momentum * x.m[i] + coefficient * x.g[i];
        x.m[i] = velocity;
        x.p[i] -= rate * velocity;
    });
}
