// clip_coefficient: rows of a sum of squares s[] → (norm[], coefficient[]), norm = √Σs, added in the order of the rows, and
// coefficient = min(1, limit/(norm + 1e-6)), or 1 for limit 0; NaN for a norm that is not finite.
// One block for all rows: it reads them together, and one thread adds them.

#include "shared/rows.cuh"

struct SquaresRow {
    const float* sum;
};

const u32 THREADS = 256;

extern "C" __global__ void __launch_bounds__(256)
clip_coefficient(Rows<SquaresRow> table, float* norm, float* coefficient, u32 rows, float limit) {
    __shared__ float sums[THREADS];
    float squares = 0.0f;
    for (u32 first = 0; first < rows; first += THREADS) {
        const u32 row = first + threadIdx.x;
        // Nobody may still read what was there before.
        __syncthreads();
        if (row < rows) sums[threadIdx.x] = *table.at[row].sum;
        __syncthreads();
        if (threadIdx.x == 0) {
            for (u32 i = 0; i < min(THREADS, rows - first); i++) squares += sums[i];
        }
    }
    if (threadIdx.x != 0) return;
    const float root = sqrtf(squares);
    *norm = root;
    const float factor = limit / (root + 1e-6f);
    const float clipped = limit > 0.0f && factor < 1.0f ? factor : 1.0f;
    *coefficient = finite(root) ? clipped : NOT_A_NUMBER;
}
