// Streams and events.

#include "memory.h"
#include "state.h"

using namespace software;

namespace {

CUresult on_event(CUevent event, const std::function<CUresult(Context&)>& call) {
    return in_context([&](Context& context) {
        return context.events.count(event) ? call(context) : CUDA_ERROR_INVALID_HANDLE;
    });
}

// Runs what is before an event.
CUresult wait(const Event& event) {
    if (!event.moment || event.moment->happened) return CUDA_SUCCESS;
    if (event.moment->captured) return CUDA_ERROR_CAPTURED_EVENT;
    return run_until(*event.moment);
}

CUresult record(Event& event, Stream& stream) {
    const auto moment = std::make_shared<Moment>();
    moment->stream = &stream;
    moment->captured = stream.capture != Capture::none;
    {
        const std::lock_guard<std::mutex> alone(events_lock);
        event.moment = moment;
    }
    return enqueue(stream, [=] {
        moment->at = std::chrono::steady_clock::now();
        moment->happened = true;
        return CUDA_SUCCESS;
    });
}

CUresult elapsed(float* milliseconds, CUevent from, CUevent to) {
    return in_context([&](Context& context) {
        for (CUevent event : {from, to}) {
            if (!context.events.count(event) || !event->timed || !event->moment) return CUDA_ERROR_INVALID_HANDLE;
            // Nobody waits here (cuEventElapsedTime).
            if (!event->moment->happened) return CUDA_ERROR_NOT_READY;
        }
        *milliseconds = std::chrono::duration<float, std::milli>(to->moment->at - from->moment->at).count();
        return CUDA_SUCCESS;
    });
}

}  // namespace

EXPORTED CUresult cuStreamCreate(CUstream* handle, unsigned) {
    return in_context([&](Context& context) {
        auto* stream = new Stream;
        stream->context = &context;
        context.streams.insert(stream);
        *handle = stream;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuStreamDestroy_v2(CUstream handle) {
    return in_context([&](Context& context) {
        if (!handle || !context.streams.count(handle)) return CUDA_ERROR_INVALID_HANDLE;
        const CUresult ran = run(*handle);
        context.streams.erase(handle);
        delete handle;
        return ran;
    });
}

EXPORTED CUresult cuStreamSynchronize(CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        if (stream.capture != Capture::none) {
            stream.capture = Capture::invalidated;
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
        if (const CUresult error = run(stream)) return error;
        return stream.context->lost = check_all_guards(stream.context->device);
    });
}

// What the stream does from now on is done after what is before the event now.
EXPORTED CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
    return on_stream(handle, [&](Stream& stream) {
        if (!stream.context->events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
        const std::shared_ptr<Moment> moment = event->moment;
        if (!moment || moment->happened) return CUDA_SUCCESS;
        if (stream.capture != Capture::none || moment->captured) {
            complain("captures of more than one stream are not emulated");
            return CUDA_ERROR_NOT_SUPPORTED;
        }
        return enqueue(stream, [=] { return moment->happened ? CUDA_SUCCESS : run_until(*moment); });
    });
}

// Calls a function of the host between the stream's other work; the function calls nothing of the driver.
EXPORTED CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
    return on_stream(handle, [&](Stream& stream) {
        return enqueue(stream, [=] {
            counts.functions++;
            function(data);
            return CUDA_SUCCESS;
        });
    });
}

EXPORTED CUresult cuEventCreate(CUevent* handle, unsigned flags) {
    return in_context([&](Context& context) {
        const std::lock_guard<std::mutex> alone(events_lock);
        *handle = new Event{&context, (flags & CU_EVENT_DISABLE_TIMING) == 0, nullptr};
        context.events.insert(*handle);
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuEventDestroy_v2(CUevent handle) {
    return on_event(handle, [&](Context& context) {
        const std::lock_guard<std::mutex> alone(events_lock);
        context.events.erase(handle);
        delete handle;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuEventRecord(CUevent event, CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        return stream.context->events.count(event) ? record(*event, stream) : CUDA_ERROR_INVALID_HANDLE;
    });
}

// Waiting for any event is among the calls that a capture which is not relaxed forbids (cuThreadExchangeStreamCaptureMode).
EXPORTED CUresult cuEventSynchronize(CUevent event) {
    return on_event(event, [&](Context& context) {
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        return wait(*event);
    });
}

// Answers at once, whatever a device does meanwhile. A lost device, and captures, which forbid this call like the one above, are
// looked at unless another call is under way.
EXPORTED CUresult cuEventQuery(CUevent event) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (const std::unique_lock<std::mutex> alone(lock, std::try_to_lock); alone) {
        if (const CUresult lost = current->lost) return lost;
        if (const CUresult refused = refuse_in_capture(*current)) return refused;
    }
    const std::lock_guard<std::mutex> alone(events_lock);
    if (!current->events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
    if (!event->moment || event->moment->happened) return CUDA_SUCCESS;
    return event->moment->captured ? CUDA_ERROR_CAPTURED_EVENT : CUDA_ERROR_NOT_READY;
}

EXPORTED CUresult cuEventElapsedTime(float* milliseconds, CUevent from, CUevent to) {
    return elapsed(milliseconds, from, to);
}

EXPORTED CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent from, CUevent to) {
    return elapsed(milliseconds, from, to);
}
