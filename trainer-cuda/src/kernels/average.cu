// average: rows of (mean in place, x), and keep[]: mean ← keep·mean + (1-keep)·x. One block per piece of a row.

#include "shared/rows.cuh"

// Both of [n].
struct AverageRow {
    float* mean;
    const float* x;
    u32 n;
};

extern "C" __global__ void __launch_bounds__(256) average(Rows<AverageRow> table, const float* keep, u32 rows) {
    __shared__ u32 found;
    const Own<AverageRow> own = table.own(rows, found);
    const float kept = *keep;
    const AverageRow& row = own.row;
    own_eight(own.block, row.n, [&](Form form, u32 i) {
        const Eight kept_mean = form.load(row.mean, i) * kept;
        form.store(row.mean, i, add_products(kept_mean, form.load(row.x, i), 1.0f - kept));
    });
}
