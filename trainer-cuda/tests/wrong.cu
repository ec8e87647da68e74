// Kernels with the mistakes that the emulation has to notice.

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

extern "C" __global__ void forgets_a_barrier(unsigned* y, unsigned n) {
    __shared__ unsigned shared[64];
    shared[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = shared[(threadIdx.x + 1) % n];
}
