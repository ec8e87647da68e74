// The rules that every call obeys.

#include "state.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace software {

Counts counts;
std::mutex lock;
std::mutex events_lock;
bool initialized = false;
thread_local Context* current = nullptr;

// Work that waits in a stream is run at the latest when there is so much of it.
constexpr size_t LONGEST_QUEUE = 256;

size_t variable(const char* name, size_t otherwise) {
    const char* text = std::getenv(name);
    return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Devices that `CUDA_VISIBLE_DEVICES` names, of so many: the list ends at the first that is none.
static std::vector<int> visible(int count) {
    std::vector<int> seen;
    const char* list = std::getenv("CUDA_VISIBLE_DEVICES");
    for (int device = 0; !list && device < count; device++) seen.push_back(device);
    for (const char* at = list; at && *at; at++) {
        char* end;
        const long device = std::strtol(at, &end, 10);
        if (end == at || device < 0 || device >= count) break;
        seen.push_back(static_cast<int>(device));
        if (*end != ',') break;
        at = end;
    }
    return seen;
}

static const std::vector<int>& devices() {
    static const auto& all = *new std::vector<int>(visible(static_cast<int>(variable("GOLF_SOFTWARE_CUDA_DEVICES", 1))));
    return all;
}

int device_count() { return static_cast<int>(devices().size()); }

int place_in_machine(CUdevice device) { return devices()[static_cast<size_t>(device)]; }

int driver_version() {
    static const int version = static_cast<int>(variable("GOLF_SOFTWARE_CUDA_VERSION", 13000));
    return version;
}

size_t device_memory() {
    static const size_t memory = variable("GOLF_SOFTWARE_CUDA_MEMORY", size_t{8} << 30);
    return memory;
}

// Never destroyed: a program's last objects call the driver when libraries have been closed already.
Context* context_of(CUdevice device) {
    static std::vector<Context>& contexts = *new std::vector<Context>(device_count());
    return device >= 0 && device < device_count() ? &contexts[device] : nullptr;
}

void complain(const char* format, ...) {
    char text[1024];
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    std::fprintf(stderr, "software CUDA: %s\n", text);
}

static void run_next(Stream& stream) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    const CUresult result = work();
    if (result != CUDA_SUCCESS) stream.context->lost = result;
}

CUresult run(Stream& stream) {
    while (!stream.queue.empty() && stream.context->lost == CUDA_SUCCESS) run_next(stream);
    return stream.context->lost;
}

CUresult run_until(const Moment& moment) {
    Stream& stream = *moment.stream;
    while (!moment.happened && !stream.queue.empty() && stream.context->lost == CUDA_SUCCESS) run_next(stream);
    return stream.context->lost;
}

CUresult run(Context& context) {
    run(context.standard);
    for (Stream* stream : context.streams) run(*stream);
    return context.lost;
}

CUresult enqueue(Stream& stream, Work work) {
    switch (stream.capture) {
        case Capture::active: stream.graph->work.push_back(std::move(work)); return CUDA_SUCCESS;
        case Capture::invalidated: return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        case Capture::none: break;
    }
    stream.queue.push_back(std::move(work));
    if (stream.queue.size() >= LONGEST_QUEUE) run(stream);
    return CUDA_SUCCESS;
}

Stream* find(Context& context, CUstream handle) {
    if (!handle) return &context.standard;
    return context.streams.count(handle) ? handle : nullptr;
}

CUresult refuse_in_capture(Context& context) {
    CUresult result = CUDA_SUCCESS;
    for (Stream* stream : context.streams) {
        if (stream->capture == Capture::none || stream->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
        const bool ours = stream->capturer == std::this_thread::get_id();
        if (!ours && stream->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) continue;
        stream->capture = Capture::invalidated;
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return result;
}

// When the program ends; a library that was only looked at has nothing to say.
__attribute__((destructor)) static void say_counts() {
    if (!initialized || !std::getenv("GOLF_SOFTWARE_CUDA_COUNTS")) return;
    complain("%llu kernels, %llu functions, %llu graphs", counts.kernels, counts.functions, counts.graphs);
}

}  // namespace software
