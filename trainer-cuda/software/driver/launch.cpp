// Launches: the limits of a device, the arguments as they are when the call is made, and what a kernel did to memory.

#include "memory.h"
#include "modules.h"
#include "state.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace software {
namespace {

constexpr unsigned MOST_BLOCKS = 0x7fffffff;
constexpr unsigned MOST_THREADS = 1024;

// Whether threads and blocks run last to first.
bool is_backwards() {
    static const char* order = std::getenv("GOLF_SOFTWARE_CUDA_ORDER");
    return order && std::strcmp(order, "backwards") == 0;
}

// The number of the kernel that is to fail, to see what a program does then; 0 for none.
unsigned long long fails_at() {
    static const size_t number = variable("GOLF_SOFTWARE_CUDA_FAIL_AT", 0);
    return number;
}

// The kernel that takes long, on which device of the machine, and how many seconds.
struct Slow {
    int device = -1;
    unsigned long long kernel = 0;
    double seconds = 0;

    Slow() {
        const char* told = std::getenv("GOLF_SOFTWARE_CUDA_SLOW");
        if (told && std::sscanf(told, "%d:%llu:%lf", &device, &kernel, &seconds) != 3) {
            complain("GOLF_SOFTWARE_CUDA_SLOW is no DEVICE:KERNEL:SECONDS");
        }
    }
};

// A call of a kernel, with copies of its arguments.
struct Launch {
    const golf::Entry* entry;
    const char** misaligned;
    int device;
    unsigned blocks, threads;
    std::vector<std::vector<char>> arguments;

    CUdeviceptr pointer(unsigned i) const {
        CUdeviceptr pointer;
        std::memcpy(&pointer, arguments[i].data(), sizeof pointer);
        return pointer;
    }

    // Checks every pointer before the kernel follows it.
    CUresult check_pointers() const {
        for (unsigned i = 0; i < entry->count; i++) {
            if (!entry->arguments[i].is_pointer || is_in_memory(device, pointer(i), 4)) continue;
            complain("argument %u of kernel `%s` points to no memory of device %d", i, entry->name, device);
            return CUDA_ERROR_ILLEGAL_ADDRESS;
        }
        return CUDA_SUCCESS;
    }

    CUresult check_memory() const {
        const std::string culprit = std::string("kernel `") + entry->name + "`";
        for (unsigned i = 0; i < entry->count; i++) {
            if (!entry->arguments[i].is_pointer) continue;
            if (const CUresult error = check_guards(pointer(i), culprit.c_str())) return error;
        }
        return CUDA_SUCCESS;
    }

    CUresult operator()() const {
        if (const CUresult error = check_pointers()) return error;
        std::vector<void*> places;
        for (const auto& argument : arguments) places.push_back(const_cast<char*>(argument.data()));
        if (++counts.kernels == fails_at()) {
            complain("kernel `%s` fails, as it was told to", entry->name);
            return CUDA_ERROR_ILLEGAL_ADDRESS;
        }
        static const Slow slow;
        if (counts.kernels == slow.kernel && place_in_machine(device) == slow.device) {
            std::this_thread::sleep_for(std::chrono::duration<double>(slow.seconds));
        }
        const char* failure = entry->launch(blocks, threads, is_backwards(), places.data());
        if (*misaligned) {
            complain("kernel `%s`: %s", entry->name, *misaligned);
            return CUDA_ERROR_MISALIGNED_ADDRESS;
        }
        if (failure) {
            complain("kernel `%s`: %s", entry->name, failure);
            return CUDA_ERROR_LAUNCH_FAILED;
        }
        return check_memory();
    }
};

// Refuses what a device refuses, and what it takes and this one does not.
CUresult check_shape(const golf::Entry& entry, const unsigned (&grid)[3], const unsigned (&block)[3], unsigned shared) {
    const uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
    const bool empty = threads == 0 || grid[0] == 0 || grid[1] == 0 || grid[2] == 0;
    if (empty || grid[0] > MOST_BLOCKS || grid[1] > 65535 || grid[2] > 65535 || threads > MOST_THREADS) {
        complain("kernel `%s`: a grid of %u x %u x %u blocks of %u x %u x %u threads", entry.name, grid[0], grid[1], grid[2],
                 block[0], block[1], block[2]);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (entry.most_threads != 0 && threads > entry.most_threads) {
        complain("kernel `%s`: %u threads, and it was compiled for %u", entry.name, block[0], entry.most_threads);
        return CUDA_ERROR_INVALID_VALUE;
    }
    const bool flat = grid[1] == 1 && grid[2] == 1 && block[1] == 1 && block[2] == 1;
    if (!flat || shared != 0) {
        complain("kernel `%s`: grids of more than one dimension and dynamic shared memory are not emulated", entry.name);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}

}  // namespace
}  // namespace software

using namespace software;

EXPORTED CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                                 unsigned block_y, unsigned block_z, unsigned shared, CUstream handle, void** arguments,
                                 void** extra) {
    return on_stream(handle, [&](Stream& stream) {
        if (!function || extra || !arguments) return CUDA_ERROR_INVALID_VALUE;
        const golf::Entry& entry = *function->entry;
        if (const CUresult error = check_shape(entry, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared)) {
            return error;
        }
        Launch launch{&entry, function->misaligned, stream.context->device, grid_x, block_x, {}};
        for (unsigned i = 0; i < entry.count; i++) {
            const char* from = static_cast<const char*>(arguments[i]);
            launch.arguments.emplace_back(from, from + entry.arguments[i].bytes);
        }
        return enqueue(stream, std::move(launch));
    });
}
