// Kernels with the mistakes that the emulation has to notice.

#include "shared/mma.cuh"
#include "shared/rows.cuh"

// y[n], n threads
extern "C" __global__ void writes_behind(unsigned* y, unsigned n) { y[threadIdx.x + 1] = n; }

extern "C" __global__ void leaves_before_a_barrier(unsigned* y, unsigned n) {
    if (threadIdx.x >= 32) return;
    __syncthreads();
    y[threadIdx.x] = n;
}

extern "C" __global__ void leaves_before_a_shuffle(unsigned* y, unsigned n) {
    if (threadIdx.x % 32 == 7) return;
    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, n, 1);
}

extern "C" __global__ void takes_a_float(unsigned* y, float x) { y[threadIdx.x] = x > 0.0f; }

struct Scalars {
    unsigned n;
    float x;
    static constexpr const char* LETTERS = "uf";
};

extern "C" __global__ void takes_more_behind_a_struct(unsigned* y, Scalars p, unsigned n) { y[threadIdx.x] = p.n + n; }

extern "C" __global__ void forgets_a_barrier(unsigned* y, unsigned n) {
    __shared__ unsigned shared[64];
    shared[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = shared[(threadIdx.x + 1) % n];
}

// Rows of 128 bytes begin in the same bank.
extern "C" __global__ void collides_in_a_bank(unsigned* y, unsigned n) {
    __shared__ uint4 rows[32][8];
    rows[threadIdx.x % 32][0].x = n;
    __syncthreads();
    unsigned words[4];
    load_matrices(words, rows[threadIdx.x % 32]);
    y[threadIdx.x] = words[0];
}

extern "C" __global__ void forgets_to_wait(unsigned* y, unsigned n) {
    __shared__ uint4 shared[64];
    copy_async<16>(&shared[threadIdx.x], y + n - 64, true);
    commit_copies();
    y[threadIdx.x] = shared[threadIdx.x].x;
}

// Others still read from the place that the copy takes.
extern "C" __global__ void copies_over_what_is_read(unsigned* y, unsigned n) {
    __shared__ uint4 shared[64];
    shared[threadIdx.x].x = n;
    __syncthreads();
    copy_async<16>(&shared[threadIdx.x], y + n - 64, true);
    commit_copies();
    y[threadIdx.x] = shared[(threadIdx.x + 1) % 64].x;
    wait_for_copies<0>();
}

struct PlainRow {
    unsigned* y;
    unsigned n;
};

extern "C" __global__ void writes_behind_a_row(Rows<PlainRow> table, unsigned rows) {
    __shared__ unsigned found;
    const Own<PlainRow> own = table.own(rows, found);
    own.row.y[threadIdx.x + 1] = own.row.n;
}

struct SwappedRow {
    unsigned n;
    unsigned* y;
};

extern "C" __global__ void takes_another_row(Rows<SwappedRow> table, unsigned rows) {
    if (threadIdx.x < rows) table.at[0].y[threadIdx.x] = table.at[0].n;
}

struct PaddedRow {
    unsigned* y;
    alignas(8) unsigned n;
    alignas(8) unsigned m;
};

extern "C" __global__ void takes_a_padded_row(Rows<PaddedRow> table, unsigned rows) {
    if (threadIdx.x < rows) table.at[0].y[threadIdx.x] = table.at[0].n;
}
