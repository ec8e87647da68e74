// Hopper's own instructions, of sm_90a: products by a warpgroup of a left operand in registers with a tile in shared memory, added
// up in registers while the threads go on.
//
// Protocol, of all threads of a warpgroup alike: begin_products() after anything but a product touched the registers of
// left operands or sums, any number of products, end_products(), and wait_for_products() before anything but a product of
// the same shape touches any of those registers again. Tiles that were filled by copies or stores are announced by
// announce_tiles() before the barrier that publishes them.

#pragma once

#include "shared/mma.cuh"

// Sums of a warpgroup, 64 rows by 64 columns: a warp has 16 rows, in the order of multiply_add_bf16.
typedef float WarpgroupSums[8][4];

// sums = a·b, or sums += a·b: `a` are 16 columns of the left operand as in multiply_add_bf16, `b` describes 16 rows of a tile if
// DOWN, else 16 channels of all rows, whose transpose is meant.
template <bool DOWN> __device__ inline void multiply_tile(WarpgroupSums& sums, const u32 (&a)[4], u64 b, bool add) {
    float (&d)[8][4] = sums;
    asm volatile(
        "{\n"
        ".reg .pred add;\n"
        "setp.ne.b32 add, %37, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
        "{%32, %33, %34, %35}, %36, add, 1, 1, %38;\n"
        "}\n"
        : "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]),
          "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]), "+f"(d[3][0]), "+f"(d[3][1]),
          "+f"(d[3][2]), "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]), "+f"(d[5][0]),
          "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]), "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]),
          "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]), "+f"(d[7][3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((u32)add), "n"(DOWN));
}

__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Ends a group of products.
__device__ inline void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits for all groups but the newest; then hold() the sums of those that are done.
template <u32 NEWER> __device__ inline void wait_for_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(NEWER) : "memory");
}

// Keeps the compiler from moving arithmetic with these registers across this point.
__device__ inline void hold(WarpgroupSums& sums) {
#pragma unroll
    for (u32 i = 0; i < 32; i++) asm volatile("" : "+f"(sums[i / 4][i % 4])::"memory");
}

// Makes what this thread wrote to shared memory visible to products, once a barrier has been passed.
__device__ inline void announce_tiles() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
