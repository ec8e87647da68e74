// What stands in for shared/wgmma.cuh on the host: the same functions, by the definitions of PTX. Descriptors are decoded bit by
// bit, as the hardware does, so a tile that lies otherwise than its descriptor says gives another result.
//
// Products happen where their thread waits for them: until then their sums hold NaN, and what lies in the tile at the wait is
// what is multiplied, so that a forgotten wait, or a copy over a tile in use, shows. Failures of the launch: a product without
// begin_products(), tiles that were not announced, warps of a warpgroup that form different numbers of products.
//
// With TILES_LIE_OTHERWISE vectors are taken from where they would be without exclusive or: a device that this crate got wrong.

#pragma once

#include "shared/mma.cuh"

typedef float WarpgroupSums[8][4];

namespace golf {

// The sums at `sums`, held back from their thread.
static Held& held(WarpgroupSums* sums) {
    std::vector<Held>& all = products_of[threadIdx.x].held;
    for (Held& known : all) {
        if (known.sums == sums) return known;
    }
    Held fresh = {sums, {}, 0};
    std::memcpy(fresh.value, *sums, sizeof fresh.value);
    std::memset(*sums, 0xff, sizeof *sums);
    all.push_back(fresh);
    return all.back();
}

// Entry (depth, column) of a right operand of 64 columns.
static float right_entry(u64 descriptor, bool down, u32 depth, u32 column) {
    const u32 start = (descriptor & 0x3fff) * 16, apart = (descriptor >> 32 & 0x3fff) * 16;
    const u32 line = down ? depth : column, within = down ? column : depth;
    u32 address = start + line / 8 * apart + line % 8 * 128 + 2 * within;
#ifndef TILES_LIE_OTHERWISE
    address ^= (address >> 7 & 7) << 4;
#endif
    if (address + 2 > size_t(__stop_golf_shared - __start_golf_shared)) {
        failure = "a tile is not in shared memory";
        return 0.0f;
    }
    unsigned short entry;
    std::memcpy(&entry, __start_golf_shared + address, 2);
    return __uint_as_float((u32)entry << 16);
}

// One product, in the lanes of a warp: lane 4g + t has rows g and g + 8, and of each group of 8 columns 2t and 2t + 1.
static void form(const Product& product) {
    if (product.right >> 62 != 1 || (product.right >> 49 & 7) != 0) failure = "a tile lies in an unknown way";
    const u32 lane = threadIdx.x % WARP;
    const Words* rows = exchange({{product.left[0], product.left[1], product.left[2], product.left[3]}}) + lane / 4 * 4;
    Held& sums = held(product.sums);
    if (!product.add) std::memset(sums.value, 0, sizeof sums.value);
    for (u32 i = 0; i < 16; i++) {
        const u32 column = i / 2 * 8 + 2 * (lane % 4) + i % 2;
        for (u32 depth = 0; depth < 16; depth++) {
            const u32 (&left)[SHOWN] = rows[depth % 8 / 2].of;
            const float right = right_entry(product.right, product.down, depth, column);
            sums.value[i / 2][i % 2] += bf16_at(left[depth / 8 * 2], depth % 2) * right;
            sums.value[i / 2][2 + i % 2] += bf16_at(left[depth / 8 * 2 + 1], depth % 2) * right;
        }
    }
    sums.products--;
}

}  // namespace golf

template <bool DOWN> void multiply_tile(WarpgroupSums& sums, const u32 (&a)[4], u64 b, bool add) {
    golf::Products& products = golf::products_of[threadIdx.x];
    if (blockDim.x % golf::WARPGROUP != 0) golf::failure = "a block is not made of whole warpgroups";
    if (!products.begun) golf::failure = "products were not begun after registers changed";
    for (unsigned i = 0; i < blockDim.x; i++) {
        if (golf::unannounced[i]) golf::failure = "shared memory was filled and not announced before a product";
    }
    golf::held(&sums).products++;
    products.count++;
    products.asked.push_back({&sums, {a[0], a[1], a[2], a[3]}, b, DOWN, add});
}

static inline void begin_products() { golf::products_of[threadIdx.x].begun = true; }

static inline void end_products() {
    golf::Products& products = golf::products_of[threadIdx.x];
    products.groups.push_back(products.asked.size());
}

template <u32 NEWER> void wait_for_products() {
    auto& [asked, groups, held, count, begun] = golf::products_of[threadIdx.x];
    begun = false;
    if (groups.size() <= NEWER) return;
    const size_t done = groups.size() - NEWER;
    const size_t formed = groups[done - 1];
    for (size_t i = 0; i < formed; i++) golf::form(asked[i]);
    asked.erase(asked.begin(), asked.begin() + formed);
    groups.erase(groups.begin(), groups.begin() + done);
    for (size_t& end : groups) end -= formed;
    for (size_t i = held.size(); i-- > 0;) {
        if (held[i].products > 0) continue;
        std::memcpy(*held[i].sums, held[i].value, sizeof held[i].value);
        held.erase(held.begin() + i);
    }
}

static inline void hold(WarpgroupSums&) {}

static inline void announce_tiles() { golf::unannounced[threadIdx.x] = false; }
