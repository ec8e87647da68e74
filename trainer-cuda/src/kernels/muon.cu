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
    each_of_piece(own.block, x.n, [&](u32 i) {
        if (!known) {
            x.u[i] = 0.0f;
            return;
        }
        const float grad = coefficient * x.g[i];
        const float momentum = kept * x.m[i] + grad;
        x.m[i] = momentum;
        x.u[i] = grad + kept * momentum;
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
    float* w = own.row.w;
    const float* o = own.row.o;
    const float rate = update * *lr_scale;
    // Decay as a subtraction: 1-decay itself would lose most digits of a small decay.
    const float shrink = decay * *lr_scale;
    each_of_piece(own.block, own.row.n, [&](u32 i) {
        const float step = rate * o[i];
        if (decay_first != 0) {
            w[i] -= shrink * w[i] + step;
        } else {
            const float moved = w[i] - step;
            w[i] = moved - shrink * moved;
        }
    });
}
