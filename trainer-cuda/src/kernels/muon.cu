// nesterov_momentum: rows of (m in place, g) → u, and (clip[], mu[]): m ← μ·m + clip·g, u = clip·g + μ·m.
// muon_apply: rows of (w[r,c] in place, o[r,c]), and lr_scale[], with update = lr·√max(1,r/c), decay = lr·wd, both times
// lr_scale: w ← (1-decay)·w - update·o, or (1-decay)·(w - update·o). Both: one block per piece of a row.

#include "shared/rows.cuh"

// All of [n].
struct MomentumRow {
    float* m;
    float* u;
    const float* g;
    u32 n;
};

extern "C" __global__ void __launch_bounds__(256)
nesterov_momentum(Rows<MomentumRow> table, const float* clip, const float* mu, u32 rows) {
    __shared__ u32 found;
    const Own<MomentumRow> own = table.own(rows, found);
    const MomentumRow& x = own.row;
    const float coefficient = *clip;
    const float kept = *mu;
    const bool known = finite(coefficient);
    own_eight(own.block, x.n, [&](Form form, u32 i) {
        if (!known) {
            form.store(x.u, i, {});
            return;
        }
        const Eight grad = form.load(x.g, i) * coefficient;
        const Eight momentum = add_products(grad, form.load(x.m, i), kept);
        form.store(x.m, i, momentum);
        form.store(x.u, i, add_products(grad, momentum, kept));
    });
}

// Both of [n].
struct MuonRow {
    float* w;
    const float* o;
    u32 n;
};

extern "C" __global__ void __launch_bounds__(256)
muon_apply(Rows<MuonRow> table, const float* lr_scale, u32 rows, float update, float decay, u32 decay_first) {
    __shared__ u32 found;
    const Own<MuonRow> own = table.own(rows, found);
    const MuonRow& x = own.row;
    const float rate = update * *lr_scale;
    // Decay as a subtraction: 1-decay itself would lose most digits of a small decay.
    const float shrink = decay * *lr_scale;
    own_eight(own.block, x.n, [&](Form form, u32 i) {
        Eight w = form.load(x.w, i);
        const Eight step = form.load(x.o, i) * rate;
#pragma unroll
        for (u32 k = 0; k < 8; k++) {
            const float moved = w.v[k] - step.v[k];
            w.v[k] = decay_first != 0 ? w.v[k] - (shrink * w.v[k] + step.v[k]) : moved - shrink * moved;
        }
        form.store(x.w, i, w);
    });
}
