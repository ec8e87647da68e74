// What a compiled module tells the driver: the kernels in it and the arguments that each of them takes. The stand-in
// compiler puts this header behind the language's, and the driver includes it by itself.

#pragma once

#include <type_traits>

namespace golf {

struct Argument {
    unsigned bytes;
    bool is_pointer;
};

struct Entry {
    const char* name;
    // Runs a grid: blocks, threads, whether last to first, places of the arguments. Returns what failed, or nothing.
    const char* (*launch)(unsigned, unsigned, int, void**);
    const Argument* arguments;
    unsigned count;
    unsigned most_threads;  // of a block; 0 where the source does not say
};

struct Module {
    const char* stamp;  // of compiler and driver, which are built together
    int toolkit;        // major version of the CUDA that the compiler is of
    unsigned architecture;
    const Entry* entries;
    unsigned count;
    const char** misaligned;  // says of a kernel that failed what it did, where that was an access that its type does not allow
};

// The arguments of a kernel, from its type.
template <class F> struct Arguments;
template <class... A> struct Arguments<void (*)(A...)> {
    static constexpr unsigned COUNT = sizeof...(A);
    static constexpr Argument LIST[] = {{static_cast<unsigned>(sizeof(A)), std::is_pointer<A>::value}...};
};

}  // namespace golf

#define GOLF_ROW(kernel, threads) \
    { #kernel, golf_launch_##kernel, golf::Arguments<decltype(&kernel)>::LIST, golf::Arguments<decltype(&kernel)>::COUNT, threads }
