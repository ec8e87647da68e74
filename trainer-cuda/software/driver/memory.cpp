// Memory of the devices and of the host, and what is copied between them.

#include "memory.h"
#include "state.h"

#include <cstdlib>
#include <cstring>
#include <map>

namespace software {
namespace {

// Bytes before and behind an allocation, and what they hold.
constexpr size_t GUARD = 256;
constexpr unsigned char UNTOUCHED = 0xa5;

// What memory holds that nobody has written: floats that are NaN.
constexpr unsigned char UNWRITTEN = 0xff;

// An address is a multiple of this, and of no more.
constexpr size_t ALIGNED = 256;

struct Allocation {
    int device;
    size_t bytes;
    unsigned char* block;
};

std::map<CUdeviceptr, Allocation>& allocations() {
    static auto& all = *new std::map<CUdeviceptr, Allocation>;
    return all;
}

// Pinned memory of the host, by its address.
std::map<uintptr_t, size_t>& pinned() {
    static auto& all = *new std::map<uintptr_t, size_t>;
    return all;
}

// The entry that holds `at`, or the end.
template <class M, class K> auto holder(M& map, K at) {
    auto next = map.upper_bound(at);
    return next == map.begin() ? map.end() : std::prev(next);
}

bool is_pinned(const void* pointer, size_t bytes) {
    const auto at = reinterpret_cast<uintptr_t>(pointer);
    const auto found = holder(pinned(), at);
    return found != pinned().end() && at + bytes <= found->first + found->second;
}

size_t used(int device) {
    size_t sum = 0;
    for (const auto& [at, allocation] : allocations()) {
        if (allocation.device == device) sum += (allocation.bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
    }
    return sum;
}

bool is_guarded(CUdeviceptr at, const Allocation& allocation) {
    const auto* first = reinterpret_cast<const unsigned char*>(at);
    for (size_t i = 0; i < GUARD; i++) {
        if (first[i - GUARD] != UNTOUCHED || first[allocation.bytes + i] != UNTOUCHED) return false;
    }
    return true;
}

CUresult check(CUdeviceptr at, const Allocation& allocation, const char* culprit) {
    if (is_guarded(at, allocation)) return CUDA_SUCCESS;
    complain("%s wrote outside of an allocation of %zu bytes", culprit, allocation.bytes);
    return CUDA_ERROR_ILLEGAL_ADDRESS;
}

char* host(CUdeviceptr at) { return reinterpret_cast<char*>(at); }

CUresult allocate(Context& context, CUdeviceptr* pointer, size_t bytes) {
    if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult refused = refuse_in_capture(context)) return refused;
    const size_t free = device_memory() - used(context.device);
    if (bytes > free || (bytes + ALIGNED - 1) / ALIGNED * ALIGNED > free) return CUDA_ERROR_OUT_OF_MEMORY;
    void* block = nullptr;
    // The first guard takes the half of a double alignment, so what follows it has the single one.
    static_assert(GUARD == ALIGNED, "see above");
    if (posix_memalign(&block, 2 * ALIGNED, bytes + 2 * GUARD) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
    auto* first = static_cast<unsigned char*>(block);
    std::memset(first, UNTOUCHED, GUARD);
    std::memset(first + GUARD, UNWRITTEN, bytes);
    std::memset(first + GUARD + bytes, UNTOUCHED, GUARD);
    *pointer = reinterpret_cast<CUdeviceptr>(first + GUARD);
    allocations()[*pointer] = {context.device, bytes, first};
    return CUDA_SUCCESS;
}

// Copies between addresses of which those of the device are in its memory.
CUresult copy(Stream& stream, char* to, const char* from, size_t bytes) {
    return enqueue(stream, [=] {
        std::memcpy(to, from, bytes);
        return CUDA_SUCCESS;
    });
}

}  // namespace

bool is_in_memory(int device, CUdeviceptr at, size_t bytes) {
    const auto found = holder(allocations(), at);
    return found != allocations().end() && found->second.device == device &&
           at - found->first <= found->second.bytes && bytes <= found->second.bytes - (at - found->first);
}

CUresult check_guards(CUdeviceptr at, const char* culprit) {
    const auto found = holder(allocations(), at);
    return found == allocations().end() ? CUDA_SUCCESS : check(found->first, found->second, culprit);
}

CUresult check_all_guards(int device) {
    for (const auto& [at, allocation] : allocations()) {
        if (allocation.device != device) continue;
        if (const CUresult error = check(at, allocation, "something")) return error;
    }
    return CUDA_SUCCESS;
}

void release_memory(int device) {
    for (auto it = allocations().begin(); it != allocations().end();) {
        if (it->second.device != device) {
            ++it;
            continue;
        }
        std::free(it->second.block);
        it = allocations().erase(it);
    }
}

}  // namespace software

using namespace software;

EXPORTED CUresult cuMemAlloc_v2(CUdeviceptr* pointer, size_t bytes) {
    return in_context([&](Context& context) { return allocate(context, pointer, bytes); });
}

// Waits for everything that may still use the memory.
EXPORTED CUresult cuMemFree_v2(CUdeviceptr pointer) {
    return in_context([&](Context& context) {
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        if (pointer == 0) return CUDA_SUCCESS;
        const auto found = allocations().find(pointer);
        if (found == allocations().end()) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult error = run(context)) return error;
        context.lost = check(pointer, found->second, "something");
        std::free(found->second.block);
        allocations().erase(found);
        return context.lost;
    });
}

EXPORTED CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
    return in_context([&](Context& context) {
        *total = device_memory();
        *free = *total - used(context.device);
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr pointer) {
    return in_context([&](Context&) {
        const auto found = holder(allocations(), pointer);
        if (found == allocations().end() || pointer >= found->first + found->second.bytes) return CUDA_ERROR_NOT_FOUND;
        *base = found->first;
        *bytes = found->second.bytes;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
    return in_context([&](Context& context) {
        if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        if (posix_memalign(pointer, 4096, bytes) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
        pinned()[reinterpret_cast<uintptr_t>(*pointer)] = bytes;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuMemFreeHost(void* pointer) {
    return in_context([&](Context& context) {
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        if (pinned().erase(reinterpret_cast<uintptr_t>(pointer)) == 0) return CUDA_ERROR_INVALID_VALUE;
        const CUresult ran = run(context);
        std::free(pointer);
        return ran;
    });
}

EXPORTED CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        if (!is_in_memory(stream.context->device, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
        return enqueue(stream, [=] {
            std::memset(host(to), value, bytes);
            return CUDA_SUCCESS;
        });
    });
}

EXPORTED CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        const int device = stream.context->device;
        if (!is_in_memory(device, to, bytes) || !is_in_memory(device, from, bytes)) return CUDA_ERROR_INVALID_VALUE;
        return copy(stream, host(to), host(from), bytes);
    });
}

// The host's memory is read when the copy runs, also where it is not pinned: "the function might be synchronous with respect to
// host" is all that is documented of that (API synchronization behavior), so a caller may not count on a copy made at once.
// No capture allows it.
EXPORTED CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, size_t bytes, CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        if (!is_in_memory(stream.context->device, to, bytes)) return CUDA_ERROR_INVALID_VALUE;
        const char* source = static_cast<const char*>(from);
        if (is_pinned(from, bytes)) return copy(stream, host(to), source, bytes);
        if (const CUresult refused = refuse_in_capture(*stream.context)) return refused;
        return copy(stream, host(to), source, bytes);
    });
}

// The same the other way.
EXPORTED CUresult cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, size_t bytes, CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        if (!is_in_memory(stream.context->device, from, bytes)) return CUDA_ERROR_INVALID_VALUE;
        if (is_pinned(to, bytes)) return copy(stream, static_cast<char*>(to), host(from), bytes);
        if (const CUresult refused = refuse_in_capture(*stream.context)) return refused;
        return copy(stream, static_cast<char*>(to), host(from), bytes);
    });
}
