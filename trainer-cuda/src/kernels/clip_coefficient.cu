// clip_coefficient: (Σx²[]) → (norm[], coefficient[]), coefficient = min(1, limit/(norm + 1e-6)), or 1 for limit 0;
// NaN for a norm that is not finite.
// One warp, of which one thread works.

#include "shared/vector.cuh"

extern "C" __global__ void __launch_bounds__(32)
clip_coefficient(const float* squares, float* norm, float* coefficient, float limit) {
    if (threadIdx.x != 0) return;
    const float root = sqrtf(*squares);
    *norm = root;
    const float factor = limit / (root + 1e-6f);
    const float clipped = limit > 0.0f && factor < 1.0f ? factor : 1.0f;
    *coefficient = finite(root) ? clipped : NOT_A_NUMBER;
}
