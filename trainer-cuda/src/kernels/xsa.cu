// xsa: (y[n,h,c], v[n,g,c]) → z[n,h,c] = y - (y·v̂)v̂ with v̂ = v/max(‖v‖, 1e-12). One warp per query head of a token.
// xsa_grad: (y, v, dz[n,h,c]) → (dy[n,h,c], dv[n,g,c]). With a = y·v̂, b = dz·v̂: dy = dz - b·v̂,
// dv̂ = -Σ_group (b·y + a·dz), dv̂·v̂ = -2 Σ_group a·b, dv = (dv̂ - (dv̂·v̂)v̂)/‖v‖. One warp per key/value head of a token;
// the heads of its group in turn, so that dv is summed in a fixed order. A lane keeps its share of dv̂ in dv itself,
// since a head may be of any width.

#include "shared/activation.cuh"
#include "shared/reduce.cuh"

const float MIN_NORM = 1e-12f;

// items = n·h, group = h/g, width = c
extern "C" __global__ void __launch_bounds__(256)
xsa(const Act* y, const Act* v, Act* z, u32 items, u32 group, u32 width) {
    const u32 item = warp_index();
    if (item >= items) return;
    const u32 lane = threadIdx.x % WARP;
    const u32 y_row = item * width;
    const u32 v_row = item / group * width;
    float square = 0.0f;
    float product = 0.0f;
    for (u32 c = lane; c < width; c += WARP) {
        square += v[v_row + c] * v[v_row + c];
        product += v[v_row + c] * y[y_row + c];
    }
    const float norm = fmaxf(sqrtf(warp_sum(square)), MIN_NORM);
    const float along = warp_sum(product) / norm;
    for (u32 c = lane; c < width; c += WARP) z[y_row + c] = y[y_row + c] - along * (v[v_row + c] / norm);
}

// items = n·g, group = h/g, width = c
extern "C" __global__ void __launch_bounds__(256)
xsa_grad(const Act* y, const Act* v, const Act* dz, Act* dy, Act* dv, u32 items, u32 group, u32 width) {
    const u32 item = warp_index();
    if (item >= items) return;
    const u32 lane = threadIdx.x % WARP;
    const u32 v_row = item * width;
    float square = 0.0f;
    for (u32 c = lane; c < width; c += WARP) square += v[v_row + c] * v[v_row + c];
    const float length = sqrtf(warp_sum(square));
    const float norm = fmaxf(length, MIN_NORM);
    float inward = 0.0f;
    for (u32 member = 0; member < group; member++) {
        const u32 row = (item * group + member) * width;
        float a = 0.0f;
        float b = 0.0f;
        for (u32 c = lane; c < width; c += WARP) {
            const float unit = v[v_row + c] / norm;
            a += unit * y[row + c];
            b += unit * dz[row + c];
        }
        a = warp_sum(a);
        b = warp_sum(b);
        inward -= 2.0f * a * b;
        for (u32 c = lane; c < width; c += WARP) {
            dy[row + c] = dz[row + c] - b * (v[v_row + c] / norm);
            const float share = b * y[row + c] + a * dz[row + c];
            dv[v_row + c] = member == 0 ? -share : dv[v_row + c] - share;
        }
    }
    // A clamped norm does not depend on v.
    if (!(length > MIN_NORM)) inward = 0.0f;
    for (u32 c = lane; c < width; c += WARP) {
        dv[v_row + c] = (dv[v_row + c] - inward * (v[v_row + c] / norm)) / norm;
    }
}
