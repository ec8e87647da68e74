// xsa: (y[n,h,c], v[n,g,c]) → z[n,h,c] = y - (y·v̂)v̂ with v̂ = v/max(‖v‖, 1e-12). A few lanes per query head of a token.
// xsa_grad: (y, v, dz[n,h,c]) → (dy[n,h,c], dv[n,g,c]). With a = y·v̂, b = dz·v̂: dy = dz - b·v̂,
// dv̂ = -Σ_group (b·y + a·dz), dv̂·v̂ = -2 Σ_group a·b, dv = (dv̂ - (dv̂·v̂)v̂)/‖v‖. A few lanes per key/value head of a token;
// the heads of its group in turn, so that dv is summed in a fixed order, in registers. Of a head of more than 256 channels
// a and b are formed again for each 256 of them.

#include "shared/heads.cuh"

const float MIN_NORM = 1e-12f;

template <bool WHOLE>
__device__ inline void exclude(const Act* y, const Act* v, Act* z, u32 items, u32 group, u32 width) {
    const HeadPlace<WHOLE> head = head_place<WHOLE>(items, width);
    const u32 y_row = head.item * width;
    const u32 v_row = head.item / group * width;
    float square = 0.0f;
    float product = 0.0f;
    head.each([&](u32 c) {
        const Eight value = head.load(v, v_row, c);
        square += dot(value, value);
        product += dot(value, head.load(y, y_row, c));
    });
    const float inverse = 1.0f / fmaxf(sqrtf(head.sum(square)), MIN_NORM);
    const float along = head.sum(product) * inverse;
    head.each([&](u32 c) {
        const Eight unit = head.load(v, v_row, c) * inverse;
        head.store(z, y_row, c, add_products(head.load(y, y_row, c), unit, -along));
    });
}

// items = n·h, group = h/g, width = c
extern "C" __global__ void __launch_bounds__(256)
xsa(const Act* y, const Act* v, Act* z, u32 items, u32 group, u32 width) {
    are_whole(width) ? exclude<true>(y, v, z, items, group, width) : exclude<false>(y, v, z, items, group, width);
}

// y·v̂ and dz·v̂ of the query head at `row`.
template <class Head>
__device__ inline float2 along_values(const Head& head, const Act* y, const Act* v, const Act* dz, u32 row, u32 v_row, float inverse) {
    float a = 0.0f;
    float b = 0.0f;
    head.each([&](u32 c) {
        const Eight unit = head.load(v, v_row, c) * inverse;
        a += dot(unit, head.load(y, row, c));
        b += dot(unit, head.load(dz, row, c));
    });
    return make_float2(head.sum(a), head.sum(b));
}

template <bool WHOLE>
__device__ inline void gradient(const Act* y, const Act* v, const Act* dz, Act* dy, Act* dv, u32 items, u32 group, u32 width) {
    const HeadPlace<WHOLE> head = head_place<WHOLE>(items, width);
    const u32 v_row = head.item * width;
    float square = 0.0f;
    head.each([&](u32 c) {
        const Eight value = head.load(v, v_row, c);
        square += dot(value, value);
    });
    const float length = sqrtf(head.sum(square));
    const float inverse = 1.0f / fmaxf(length, MIN_NORM);
    head.each([&](u32 c) {
        const Eight unit = head.load(v, v_row, c) * inverse;
        Eight sum = {};
        float inward = 0.0f;
        for (u32 member = 0; member < group; member++) {
            const u32 row = (head.item * group + member) * width;
            const float2 along = along_values(head, y, v, dz, row, v_row, inverse);
            const Eight slope = head.load(dz, row, c);
            head.store(dy, row, c, add_products(slope, unit, -along.y));
            sum = add_products(add_products(sum, head.load(y, row, c), -along.y), slope, -along.x);
            inward -= 2.0f * along.x * along.y;
        }
        // A clamped norm does not depend on v.
        if (!(length > MIN_NORM)) inward = 0.0f;
        head.store(dv, v_row, c, add_products(sum, unit, -inward) * inverse);
    });
}

// items = n·g, group = h/g, width = c
extern "C" __global__ void __launch_bounds__(256)
xsa_grad(const Act* y, const Act* v, const Act* dz, Act* dy, Act* dv, u32 items, u32 group, u32 width) {
    are_whole(width) ? gradient<true>(y, v, dz, dy, dv, items, group, width)
                   : gradient<false>(y, v, dz, dy, dv, items, group, width);
}
