// What the driver holds: contexts, streams with the work that waits in them, and the rules that every call obeys.
//
// Work runs late: when a call has to wait for it, not when it is queued. So what a program changes too early, or reads
// without waiting, shows as a wrong result, as it might on a GPU; and an error of a kernel comes back from a later call.
// From then on the device is lost to the process, and every call returns that error. One lock holds for all of it; events have
// another one beside it, so that work that takes long, or for ever, can be asked after.

#pragma once

#include "api.h"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <vector>

namespace software {

constexpr int COMPUTE_MAJOR = 9;
constexpr int COMPUTE_MINOR = 0;

// Something that a stream does.
using Work = std::function<CUresult()>;

// Work that was captured, to be done again and again.
struct Graph {
    std::vector<Work> work;
};

enum class Capture { none, active, invalidated };

struct Stream {
    Context* context = nullptr;
    std::deque<Work> queue;
    Capture capture = Capture::none;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    std::thread::id capturer;
    std::unique_ptr<Graph> graph;  // of the capture
};

// The place of an event in a stream's work. Whoever waits for it runs that stream.
struct Moment {
    Stream* stream = nullptr;
    bool captured = false;
    std::atomic<bool> happened{false};
    std::chrono::steady_clock::time_point at;
};

struct Event {
    Context* context;
    bool timed;
    std::shared_ptr<Moment> moment;  // none until it is recorded
};

// A device's primary context, the only kind there is.
struct Context {
    int device = 0;
    unsigned users = 0;
    CUresult lost = CUDA_SUCCESS;  // what destroyed it, for good
    Stream standard;               // the null stream
    std::set<Stream*> streams;
    std::set<Event*> events;  // changed under `events_lock` too
};

// What was done so far. With `GOLF_SOFTWARE_CUDA_COUNTS` the driver says so when the program ends.
struct Counts {
    unsigned long long kernels, functions, graphs;  // run; called; launched
};

extern Counts counts;
extern std::mutex lock;
extern std::mutex events_lock;
extern bool initialized;
extern thread_local Context* current;

// A number from the environment.
size_t variable(const char* name, size_t otherwise);

// Number of devices, and bytes that each of them has, as the environment says.
int device_count();
size_t device_memory();

// Which device of the machine a device is, whatever of them this process sees.
int place_in_machine(CUdevice device);

// The CUDA version that the driver is of, as the environment says: 12040 for 12.4.
int driver_version();

// The context of a device; `nullptr` for a device that is none.
Context* context_of(CUdevice device);

// Prints what went wrong, which an error code does not say.
void complain(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Runs what waits in a stream, or in all streams of a context.
CUresult run(Stream& stream);
CUresult run(Context& context);

// Runs what is before a moment.
CUresult run_until(const Moment& moment);

// Queues work, or captures it.
CUresult enqueue(Stream& stream, Work work);

// A stream of the context by its handle; `nullptr` for one that is none.
Stream* find(Context& context, CUstream handle);

// Refuses, and invalidates the captures, if the calling thread may not do what it asks for because of captures under way.
CUresult refuse_in_capture(Context& context);

// Makes a call into a driver that was started.
template <class F> CUresult started(F call) {
    const std::lock_guard<std::mutex> alone(lock);
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    try {
        return call();
    } catch (const std::bad_alloc&) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
}

// Makes a call in the current context.
template <class F> CUresult in_context(F call) {
    return started([&] {
        if (!current || current->users == 0) return CUDA_ERROR_INVALID_CONTEXT;
        if (current->lost != CUDA_SUCCESS) return current->lost;
        return call(*current);
    });
}

// Makes a call on a stream of the current context.
template <class F> CUresult on_stream(CUstream handle, F call) {
    return in_context([&](Context& context) {
        Stream* stream = find(context, handle);
        return stream ? call(*stream) : CUDA_ERROR_INVALID_HANDLE;
    });
}

}  // namespace software

#define EXPORTED extern "C" __attribute__((visibility("default")))
