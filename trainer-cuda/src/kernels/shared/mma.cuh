// Instructions of a GPU for which C++ has no words: tensor cores (products of 16 × 16 by 16 × 8 of bf16, added up in f32,
// by one warp), loads of their operands, copies to shared memory that overlap with arithmetic. All of them exist from
// sm_80 on.

#pragma once

#include "shared/vector.cuh"

// Two floats rounded to nearest bf16, `low` in the low half.
__device__ inline u32 bf16_pair(float low, float high) {
    u32 pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// Entries of a pair.
__device__ inline float bf16_first(u32 pair) { return __uint_as_float(pair << 16); }
__device__ inline float bf16_second(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }

// 2^x with a relative error of about 2^-22; tiny results become zero.
__device__ inline float power_of_two(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// c += a·b. With g = lane / 4 and t = lane % 4, words of `a` hold columns 2t, 2t+1 (then +8) of rows g and g+8, in the order
// (g, 2t), (g+8, 2t), (g, 2t+8), (g+8, 2t+8); words of `b` rows 2t, 2t+1 (then +8) of column g; `c` columns 2t, 2t+1 of
// row g, then of row g+8. Call with all lanes.
__device__ inline void multiply_add_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline u32 shared_address(const void* shared) { return (u32)__cvta_generic_to_shared(shared); }

// Four matrices of 8 × 8 bf16: lane l gives the address of row l % 8 of matrix l / 8, and gets in word i columns 2t, 2t+1
// of row g of matrix i. Call with all lanes.
__device__ inline void load_matrices(u32 (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same, but word i holds rows 2t, 2t+1 of column g of matrix i.
__device__ inline void load_matrices_transposed(u32 (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// Starts a copy of 8 or 16 bytes to shared memory; zeros where the source does not exist, whose address must be valid
// nevertheless.
template <u32 BYTES> __device__ inline void copy_async(void* shared, const void* global, bool exists) {
    static_assert(BYTES == 8 || BYTES == 16, "widths of the instruction");
    const u32 bytes = exists ? BYTES : 0;
    if (BYTES == 16) {
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(bytes)
                     : "memory");
    }
}

// Ends a group of copies.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits for this thread's copies of all groups but the newest; others see them after a barrier.
template <u32 NEWER> __device__ inline void wait_for_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(NEWER) : "memory"); }
