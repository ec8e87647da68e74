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
    own_eight(own.block, x.n, [&](Form form, u32 i) {
        const Eight grad = form.load(x.g, i) * coefficient;
        const Eight velocity = add_products(grad, form.load(x.m, i), momentum);
        const Eight p = form.load(x.p, i);
        form.store(x.m, i, velocity);
        form.store(x.p, i, add_products(p, velocity, -rate));
    });
}
