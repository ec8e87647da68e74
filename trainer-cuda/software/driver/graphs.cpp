// Captures of streams, and graphs made of them.

#include "state.h"

using namespace software;

EXPORTED CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode) {
    return on_stream(handle, [&](Stream& stream) {
        // The null stream cannot be captured.
        if (!handle) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        if (stream.capture != Capture::none) return CUDA_ERROR_ILLEGAL_STATE;
        stream.capture = Capture::active;
        stream.mode = mode;
        stream.capturer = std::this_thread::get_id();
        stream.graph = std::make_unique<Graph>();
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuStreamEndCapture(CUstream handle, CUgraph* graph) {
    return on_stream(handle, [&](Stream& stream) {
        *graph = nullptr;
        if (stream.capture == Capture::none) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
        if (stream.mode != CU_STREAM_CAPTURE_MODE_RELAXED && stream.capturer != std::this_thread::get_id()) {
            return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
        }
        const bool valid = stream.capture == Capture::active;
        stream.capture = Capture::none;
        const std::unique_ptr<Graph> captured = std::move(stream.graph);
        if (!valid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        *graph = new Graph(*captured);
        return CUDA_SUCCESS;
    });
}

// What is instantiated does not change with the graph, nor does it need it any longer.
EXPORTED CUresult cuGraphInstantiateWithFlags(CUgraphExec* made, CUgraph graph, unsigned long long flags) {
    return in_context([&](Context& context) {
        if (!graph || flags != 0) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        *made = new Graph(*graph);
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuGraphLaunch(CUgraphExec graph, CUstream handle) {
    return on_stream(handle, [&](Stream& stream) {
        if (!graph) return CUDA_ERROR_INVALID_VALUE;
        counts.graphs++;
        for (const Work& work : graph->work) {
            if (const CUresult error = enqueue(stream, work)) return error;
        }
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuGraphDestroy(CUgraph graph) {
    return started([&] {
        delete graph;
        return CUDA_SUCCESS;
    });
}

EXPORTED CUresult cuGraphExecDestroy(CUgraphExec graph) {
    return started([&] {
        delete graph;
        return CUDA_SUCCESS;
    });
}
