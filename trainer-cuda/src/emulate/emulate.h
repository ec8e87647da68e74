// CUDA's language for the host's C++ compiler, so that the kernels of this crate can be checked where there is no GPU.
//
// A block runs in one thread of the host, its CUDA threads as fibers that change only where CUDA makes them wait for each
// other: at a barrier, a shuffle, a matrix instruction. Blocks follow each other. Shared memory is filled with NaN
// before every block, and threads can be run last to first, so a forgotten barrier shows as a wrong or a changed result.
// Not here: speed, weak memory order, and what only hardware does.

#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <cmath>
#include <string>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

#define GOLF_EMULATED 1
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("golf_shared")))

struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct Index { unsigned x, y, z; };
static Index threadIdx, blockIdx, blockDim, gridDim;

extern "C" {
// All shared memory of the file; absent where it has none.
extern char __start_golf_shared[] __attribute__((weak, visibility("hidden")));
extern char __stop_golf_shared[] __attribute__((weak, visibility("hidden")));
}

namespace golf {

constexpr unsigned WARP = 32;
constexpr unsigned MOST_THREADS = 1024;
constexpr size_t STACK = 256 * 1024;

enum class State { fresh, runnable, at_warp, at_block, finished };

struct Fiber {
    ucontext_t start;
    jmp_buf at;
    bool started;
    char* stack;
};

// A copy to shared memory that a thread has asked for. It lands where the thread waits for it, and not before.
struct Copy {
    char* to;
    const char* from;
    size_t bytes;
    size_t zeros;  // behind them
};

// A product of a warpgroup that a thread has asked for. It is formed where the thread waits for it.
struct Product {
    float (*sums)[8][4];
    uint32_t left[4];
    uint64_t right;
    bool down, add;
};

// Sums of products under way, and what they were before the first of those; meanwhile they are NaN.
struct Held {
    float (*sums)[8][4];
    float value[8][4];
    unsigned products;
};

// What a thread has to do with products of its warpgroup.
struct Products {
    std::vector<Product> asked;
    std::vector<size_t> groups;  // products before the end of each group that is under way
    std::vector<Held> held;
    unsigned count;  // of all that it has asked for
    bool begun;
};

static Products products_of[MOST_THREADS];
static std::vector<Copy> copies_of[MOST_THREADS];
static std::vector<size_t> groups_of[MOST_THREADS];  // copies before the end of each group that is under way
static bool unannounced[MOST_THREADS];  // copies landed that products of a warpgroup may not see yet
static Fiber* fiber_of[MOST_THREADS];  // null: not started, or finished
static State state_of[MOST_THREADS];
static std::vector<Fiber*> idle;
static jmp_buf scheduler;
static unsigned running;
static const char* failure;
static void (*invoke)(void**);
static void** arguments;

// Back to the scheduler; returns when this thread is resumed.
static void suspend(State state) {
    const unsigned thread = running;
    state_of[thread] = state;
    if (!_setjmp(fiber_of[thread]->at)) _longjmp(scheduler, 1);
}

// A fiber runs one thread of a block after another.
static void fiber_main() {
    for (;;) {
        invoke(arguments);
        suspend(State::finished);
    }
}

static void start_or_continue(Fiber* fiber) {
    if (_setjmp(scheduler)) return;
    if (fiber->started) _longjmp(fiber->at, 1);
    fiber->started = true;
    setcontext(&fiber->start);
}

static Fiber* take_fiber() {
    if (!idle.empty()) {
        Fiber* fiber = idle.back();
        idle.pop_back();
        return fiber;
    }
    Fiber* fiber = new Fiber();
    fiber->stack = static_cast<char*>(std::malloc(STACK));
    return fiber;
}

static void prepare(Fiber* fiber) {
    if (fiber->started) return;
    getcontext(&fiber->start);
    fiber->start.uc_stack.ss_sp = fiber->stack;
    fiber->start.uc_stack.ss_size = STACK;
    fiber->start.uc_link = nullptr;
    makecontext(&fiber->start, fiber_main, 0);
}

// Runs one thread to its next wait or its end.
static void advance(unsigned thread) {
    if (state_of[thread] == State::fresh) {
        fiber_of[thread] = take_fiber();
        prepare(fiber_of[thread]);
    }
    state_of[thread] = State::runnable;
    running = thread;
    threadIdx.x = thread;
    start_or_continue(fiber_of[thread]);
    if (state_of[thread] == State::finished) {
        if (!copies_of[thread].empty()) failure = "a thread ended before its copies to shared memory";
        if (!products_of[thread].asked.empty()) failure = "a thread ended before its products";
        idle.push_back(fiber_of[thread]);
        fiber_of[thread] = nullptr;
    }
}

static unsigned nth(unsigned i, unsigned count, bool backwards) { return backwards ? count - 1 - i : i; }

// Runs the threads of a warp until each is at the barrier of the block or finished.
static void advance_warp(unsigned first, bool backwards) {
    for (;;) {
        unsigned waiting = 0;
        for (unsigned i = 0; i < WARP; i++) {
            const unsigned thread = first + nth(i, WARP, backwards);
            if (state_of[thread] == State::fresh || state_of[thread] == State::runnable) advance(thread);
            waiting += state_of[thread] == State::at_warp;
        }
        if (waiting == 0) return;
        if (waiting != WARP) {
            failure = "not all threads of a warp reached a shuffle";
            return;
        }
        for (unsigned i = 0; i < WARP; i++) state_of[first + i] = State::runnable;
    }
}

constexpr unsigned WARPGROUP = 4 * WARP;

static void run_block(unsigned threads, bool backwards) {
    for (unsigned i = 0; i < threads; i++) {
        state_of[i] = State::fresh;
        unannounced[i] = false;
        products_of[i].count = 0;
    }
    std::memset(__start_golf_shared, 0xff, __stop_golf_shared - __start_golf_shared);
    for (;;) {
        for (unsigned i = 0; i < threads / WARP && !failure; i++) {
            advance_warp(WARP * nth(i, threads / WARP, backwards), backwards);
        }
        if (failure) return;
        for (unsigned i = 0; i < threads; i++) {
            if (products_of[i].count != products_of[i / WARPGROUP * WARPGROUP].count) {
                failure = "warps of a warpgroup do not form the same products";
            }
        }
        unsigned finished = 0;
        for (unsigned i = 0; i < threads; i++) finished += state_of[i] == State::finished;
        if (finished == threads) return;
        if (finished != 0) {
            failure = "not all threads of a block reached a barrier";
            return;
        }
        for (unsigned i = 0; i < threads; i++) state_of[i] = State::runnable;
    }
}

// Fibers that a failed block left half way start anew.
static void abandon(unsigned threads) {
    for (unsigned i = 0; i < threads; i++) {
        copies_of[i].clear();
        groups_of[i].clear();
        products_of[i] = Products();
        if (!fiber_of[i]) continue;
        fiber_of[i]->started = false;
        idle.push_back(fiber_of[i]);
        fiber_of[i] = nullptr;
    }
}

static const char* launch(void (*kernel)(void**), unsigned blocks, unsigned threads, bool backwards, void** given) {
    if (threads == 0 || threads > MOST_THREADS || threads % WARP != 0) return "a block is not made of whole warps";
    invoke = kernel;
    arguments = given;
    failure = nullptr;
    blockDim = {threads, 1, 1};
    gridDim = {blocks, 1, 1};
    for (unsigned i = 0; i < blocks && !failure; i++) {
        blockIdx = {nth(i, blocks, backwards), 0, 0};
        run_block(threads, backwards);
    }
    if (failure) abandon(threads);
    return failure;
}

// Whether a type says that it is an activation.
template <class T> constexpr bool is_activation(decltype(T::ACTIVATION)*) { return T::ACTIVATION; }
template <class T> constexpr bool is_activation(...) { return false; }

// Whether a type is a table of rows.
template <class T> constexpr bool is_table(typename T::Row*) { return true; }
template <class T> constexpr bool is_table(...) { return false; }

template <class R, class... F> std::string row_letters();

// Letters of a parameter: of its words, for a struct of scalars; of its fields and a bar, for a table of rows.
template <class T> std::string letters() {
    if constexpr (is_table<T>(0)) {
        return (sizeof(T) == sizeof(void*) ? row_letters<typename T::Row>() : "?") + "|";
    } else if constexpr (std::is_pointer<T>::value) {
        using Pointee = std::remove_pointer_t<T>;
        const bool read = std::is_const<Pointee>::value;
        return is_activation<std::remove_const_t<Pointee>>(0) ? (read ? "a" : "o") : (read ? "r" : "w");
    } else if constexpr (std::is_same<T, float>::value) {
        return "f";
    } else if constexpr (std::is_same<T, unsigned>::value) {
        return "u";
    } else {
        return std::strlen(T::LETTERS) * 4 == sizeof(T) ? T::LETTERS : "?";
    }
}

// Becomes a field of any type, and writes down its letters.
struct Field {
    std::string* all;
    template <class T> operator T() const {
        *all += letters<T>();
        return T();
    }
};

template <class R, class... F> constexpr auto has_fields(int) -> decltype(R{F()...}, true) { return true; }
template <class R, class... F> constexpr bool has_fields(...) { return false; }

// Letters of the fields of a struct, of which it has as many as it can be made of; `?` behind them where they do not lie as
// the host lays them out.
template <class R, class... F> std::string row_letters() {
    if constexpr (has_fields<R, F..., Field>(0)) {
        return row_letters<R, F..., Field>();
    } else {
        std::string all;
        R{F{&all}...};
        size_t words = 0;
        for (char letter : all) words += letter == 'u' || letter == 'f' ? 1 : 2;
        return sizeof(R) == (words + 1) / 2 * 8 ? all : all + "?";
    }
}

// The host gives every word a place of its own, so that what follows a struct would be read from inside it: `?` behind one
// that is not last. A table is a pointer.
template <class... A> std::string all_letters() {
    const std::string each[] = {letters<A>()...};
    std::string all;
    for (size_t i = 0; i < sizeof...(A); i++) {
        const bool is_struct = each[i].size() > 1 && each[i].back() != '|';
        all += i + 1 < sizeof...(A) && is_struct ? each[i] + "?" : each[i];
    }
    return all;
}

template <class... A> std::string signature(void (*)(A...)) { return all_letters<A...>(); }

template <class... A, size_t... I> void call(void (*kernel)(A...), void** given, std::index_sequence<I...>) {
    kernel(*static_cast<A*>(given[I])...);
}

template <class... A> void unpack(void (*kernel)(A...), void** given) {
    call(kernel, given, std::index_sequence_for<A...>());
}

// What a thread shows to the others of its warp.
constexpr unsigned SHOWN = 6;
struct Words {
    uint32_t of[SHOWN];
};

// Two sets, so that one wait per exchange is enough.
static Words shown[2][MOST_THREADS];
static unsigned char turn[MOST_THREADS];

// What the threads of this thread's warp show beside its own, by lane.
static const Words* exchange(const Words& words) {
    const unsigned thread = threadIdx.x;
    const unsigned set = turn[thread] ^= 1;
    shown[set][thread] = words;
    suspend(State::at_warp);
    return &shown[set][thread / WARP * WARP];
}

template <class T> T from_lane(T value, unsigned lane) {
    static_assert(sizeof(T) == 4, "shuffles move words");
    Words own;
    std::memcpy(own.of, &value, 4);
    const Words* words = exchange(own);
    std::memcpy(&value, words[lane % WARP].of, 4);
    return value;
}

}  // namespace golf

// Makes `kernel` known to the host. Its signature is kept here: what a template keeps is one for all libraries of a process, and
// two files may name different structs alike.
#define GOLF_ENTRY(kernel)                                                                                       \
    static void golf_invoke_##kernel(void** given) { golf::unpack(kernel, given); }                                \
    extern "C" const char* golf_signature_##kernel() {                                                            \
        static const std::string all = golf::signature(kernel);                                                   \
        return all.c_str();                                                                                       \
    }                                                                                                             \
    extern "C" const char* golf_launch_##kernel(unsigned blocks, unsigned threads, int backwards, void** given) {  \
        return golf::launch(golf_invoke_##kernel, blocks, threads, backwards != 0, given);                         \
    }

static inline void __syncthreads() { golf::suspend(golf::State::at_block); }
static inline void __syncwarp(unsigned = ~0u) { golf::suspend(golf::State::at_warp); }
template <class T> T __shfl_sync(unsigned, T value, int lane) { return golf::from_lane(value, lane); }
template <class T> T __shfl_xor_sync(unsigned, T value, int mask) { return golf::from_lane(value, threadIdx.x ^ mask); }

static inline unsigned __float_as_uint(float x) { unsigned u; std::memcpy(&u, &x, 4); return u; }
static inline float __uint_as_float(unsigned u) { float x; std::memcpy(&x, &u, 4); return x; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
static inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }

// Rounded to nearest and never contracted; this header is compiled without contraction.
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
