// Devices and their contexts.

#include "memory.h"
#include "state.h"

#include <cstdio>
#include <cstring>

using namespace software;

namespace {

constexpr char NAME[] = "golf software CUDA device";

template <class F> CUresult on_device(CUdevice device, F call) {
    return started([&] {
        Context* context = context_of(device);
        return context ? call(*context) : CUDA_ERROR_INVALID_DEVICE;
    });
}

int attribute(CUdevice_attribute which) {
    switch (which) {
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return 1024;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return 1;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return COMPUTE_MAJOR;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return COMPUTE_MINOR;
        case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: return 0;
    }
    return -1;
}

}  // namespace

EXPORTED CUresult cuInit(unsigned flags) {
    const std::lock_guard<std::mutex> alone(lock);
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (device_count() == 0) return CUDA_ERROR_NO_DEVICE;
    initialized = true;
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDriverGetVersion(int* version) {
    if (!version) return CUDA_ERROR_INVALID_VALUE;
    *version = driver_version();
    return CUDA_SUCCESS;
}

EXPORTED CUresult cuDeviceGetCount(int* count) {
    return started([&] {
        *count = device_count();
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    return on_device(ordinal, [&](Context&) {
        *device = ordinal;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuDeviceGetName(char* name, int bytes, CUdevice device) {
    return on_device(device, [&](Context&) {
        if (bytes <= 0) return CUDA_ERROR_INVALID_VALUE;
        std::strncpy(name, NAME, bytes);
        name[bytes - 1] = 0;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute which, CUdevice device) {
    return on_device(device, [&](Context&) {
        const int known = attribute(which);
        if (known < 0) {
            complain("attribute %u of a device is not known here", static_cast<unsigned>(which));
            return CUDA_ERROR_INVALID_VALUE;
        }
        *value = known;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuDeviceGetPCIBusId(char* name, int bytes, CUdevice device) {
    return on_device(device, [&](Context&) {
        const int length = std::snprintf(name, static_cast<size_t>(bytes), "0000:%02x:00.0", place_in_machine(device));
        return length < bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    });
}

EXPORTED CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
    return on_device(device, [&](Context&) {
        *bytes = device_memory();
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuDevicePrimaryCtxRetain(CUcontext* handle, CUdevice device) {
    return on_device(device, [&](Context& context) {
        if (context.lost != CUDA_SUCCESS) return context.lost;
        context.device = device;
        context.standard.context = &context;
        context.users++;
        *handle = &context;
        return CUDA_SUCCESS;
    });
}

// With its last user a context goes, and everything in it.
EXPORTED CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    return on_device(device, [&](Context& context) {
        if (context.users == 0) return CUDA_ERROR_INVALID_CONTEXT;
        if (--context.users > 0) return CUDA_SUCCESS;
        run(context);
        const std::lock_guard<std::mutex> alone(events_lock);
        for (Stream* stream : context.streams) delete stream;
        for (Event* event : context.events) delete event;
        context.streams.clear();
        context.events.clear();
        context.standard.queue.clear();
        release_memory(device);
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuCtxGetCurrent(CUcontext* context) {
    return started([&] {
        *context = current;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuCtxGetDevice(CUdevice* device) {
    return in_context([&](Context& context) {
        *device = context.device;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuCtxSetCurrent(CUcontext context) {
    return started([&] {
        if (context && context->users == 0) return CUDA_ERROR_INVALID_CONTEXT;
        current = context;
        return CUDA_SUCCESS;
    });
}

// Waiting for a context is invalid while any of its streams is captured, by whatever thread and in whatever mode (programming
// guide: prohibited operations of stream capture).
EXPORTED CUresult cuCtxSynchronize() {
    return in_context([&](Context& context) {
        CUresult refused = CUDA_SUCCESS;
        for (Stream* stream : context.streams) {
            if (stream->capture == Capture::none) continue;
            stream->capture = Capture::invalidated;
            refused = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
        if (refused != CUDA_SUCCESS) return refused;
        if (const CUresult error = run(context)) return error;
        return context.lost = check_all_guards(context.device);
    });
}
