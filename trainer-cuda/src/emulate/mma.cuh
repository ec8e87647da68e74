// What stands in for shared/mma.cuh on the host: the same functions, by the definitions of PTX, so that words in another
// order than the instruction's give another result. A tensor core may add the products of a step in another order.
//
// Copies to shared memory land where their thread waits for them; until then their place holds NaN, so that a forgotten
// wait or barrier, or a copy over what others still read, shows. Rows of matrices that would collide in a bank of shared
// memory are a failure of the launch.

#pragma once

#include "shared/vector.cuh"

static inline u32 bf16_of(float x) {
    const u32 bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static inline u32 bf16_pair(float low, float high) { return bf16_of(high) << 16 | bf16_of(low); }

static inline float bf16_first(u32 pair) { return __uint_as_float(pair << 16); }
static inline float bf16_second(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
static inline float bf16_at(u32 pair, u32 entry) { return entry == 0 ? bf16_first(pair) : bf16_second(pair); }

static inline float power_of_two(float x) { return std::exp2(x); }

// Element (row, k) of `a` lies in the lane 4·(row % 8) + k % 8 / 2, in its word 2·(k / 8) + row / 8; element (k, column)
// of `b` in the lane 4·column + k % 8 / 2, in its word k / 8; both as entry k % 2 of the pair.
static inline void multiply_add_bf16(float (&c)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    const golf::Words* lanes = golf::exchange({{a[0], a[1], a[2], a[3], b[0], b[1]}});
    const u32 lane = threadIdx.x % golf::WARP;
    const golf::Words* rows = lanes + lane / 4 * 4;
    for (u32 k = 0; k < 16; k++) {
        const u32 half = k / 8;
        const u32 member = k % 8 / 2;
        const u32 (&left)[golf::SHOWN] = rows[member].of;
        const float upper = bf16_at(left[2 * half], k % 2);
        const float lower = bf16_at(left[2 * half + 1], k % 2);
        for (u32 i = 0; i < 2; i++) {
            const float right = bf16_at(lanes[4 * (2 * (lane % 4) + i) + member].of[4 + half], k % 2);
            c[i] += upper * right;
            c[2 + i] += lower * right;
        }
    }
}

// Where something lies in shared memory.
static inline u32 shared_address(const void* shared) {
    return (u32)(static_cast<const char*>(shared) - __start_golf_shared);
}

// What every lane gives as its row, of four matrices of eight.
struct MatrixRows {
    const unsigned short* of[32];
};

static inline MatrixRows matrix_rows(const void* row) {
    golf::Words words;
    std::memcpy(words.of, &row, sizeof row);
    const golf::Words* lanes = golf::exchange(words);
    MatrixRows rows;
    for (u32 lane = 0; lane < golf::WARP; lane++) {
        std::memcpy(&rows.of[lane], lanes[lane].of, sizeof row);
        const char* at = reinterpret_cast<const char*>(rows.of[lane]);
        if (at < __start_golf_shared || at + 16 > __stop_golf_shared) golf::failure = "a matrix is not in shared memory";
        if (reinterpret_cast<uintptr_t>(at) % 16 != 0) golf::failure = "a row of a matrix is not aligned";
    }
    for (u32 matrix = 0; matrix < 4; matrix++) {
        u32 banks = 0;
        for (u32 i = 0; i < 8; i++) banks |= 1u << reinterpret_cast<uintptr_t>(rows.of[8 * matrix + i]) / 16 % 8;
        if (banks != 0xff) golf::failure = "rows of a matrix collide in a bank of shared memory";
    }
    return rows;
}

static inline void load_matrices(u32 (&words)[4], const void* row) {
    const MatrixRows rows = matrix_rows(row);
    const u32 lane = threadIdx.x % golf::WARP;
    for (u32 i = 0; i < 4; i++) {
        const unsigned short* entries = rows.of[8 * i + lane / 4] + 2 * (lane % 4);
        words[i] = (u32)entries[1] << 16 | entries[0];
    }
}

static inline void load_matrices_transposed(u32 (&words)[4], const void* row) {
    const MatrixRows rows = matrix_rows(row);
    const u32 lane = threadIdx.x % golf::WARP;
    for (u32 i = 0; i < 4; i++) {
        const u32 first = 8 * i + 2 * (lane % 4);
        words[i] = (u32)rows.of[first + 1][lane / 4] << 16 | rows.of[first][lane / 4];
    }
}

template <u32 BYTES> void copy_async(void* shared, const void* global, bool exists) {
    static_assert(BYTES == 8 || BYTES == 16, "widths of the instruction");
    if (reinterpret_cast<uintptr_t>(shared) % BYTES != 0 || reinterpret_cast<uintptr_t>(global) % BYTES != 0) {
        golf::failure = "a copy to shared memory is not aligned";
    }
    std::memset(shared, 0xff, BYTES);
    const u32 bytes = exists ? BYTES : 0;
    golf::copies_of[threadIdx.x].push_back(
        {static_cast<char*>(shared), static_cast<const char*>(global), bytes, BYTES - bytes});
}

static inline void commit_copies() {
    golf::groups_of[threadIdx.x].push_back(golf::copies_of[threadIdx.x].size());
}

template <u32 NEWER> void wait_for_copies() {
    auto& groups = golf::groups_of[threadIdx.x];
    auto& copies = golf::copies_of[threadIdx.x];
    if (groups.size() <= NEWER) return;
    const size_t done = groups.size() - NEWER;
    const size_t landed = groups[done - 1];
    for (size_t i = 0; i < landed; i++) {
        std::memcpy(copies[i].to, copies[i].from, copies[i].bytes);
        std::memset(copies[i].to + copies[i].bytes, 0, copies[i].zeros);
    }
    golf::unannounced[threadIdx.x] = true;
    copies.erase(copies.begin(), copies.begin() + landed);
    groups.erase(groups.begin(), groups.begin() + done);
    for (size_t& end : groups) end -= landed;
}
