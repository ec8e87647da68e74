// What errors are called, and what they mean.

#include "state.h"

namespace {

struct Error {
    CUresult code;
    const char* name;
    const char* meaning;
};

#define NAMED(code) code, #code

const Error ERRORS[] = {
    {NAMED(CUDA_SUCCESS), "no error"},
    {NAMED(CUDA_ERROR_INVALID_VALUE), "an argument is out of range"},
    {NAMED(CUDA_ERROR_OUT_OF_MEMORY), "not enough memory"},
    {NAMED(CUDA_ERROR_NOT_INITIALIZED), "the driver was not started"},
    {NAMED(CUDA_ERROR_NO_DEVICE), "there is no device"},
    {NAMED(CUDA_ERROR_INVALID_DEVICE), "no device has this number"},
    {NAMED(CUDA_ERROR_INVALID_IMAGE), "not the code of a device"},
    {NAMED(CUDA_ERROR_INVALID_CONTEXT), "no context is current"},
    {NAMED(CUDA_ERROR_NO_BINARY_FOR_GPU), "the code is for another device"},
    {NAMED(CUDA_ERROR_SHARED_OBJECT_INIT_FAILED), "the code could not be loaded"},
    {NAMED(CUDA_ERROR_OPERATING_SYSTEM), "the operating system refused"},
    {NAMED(CUDA_ERROR_INVALID_HANDLE), "a handle is not one of this context"},
    {NAMED(CUDA_ERROR_ILLEGAL_STATE), "not in this state"},
    {NAMED(CUDA_ERROR_NOT_FOUND), "there is nothing of this name"},
    {NAMED(CUDA_ERROR_NOT_READY), "what was asked for has not happened yet"},
    {NAMED(CUDA_ERROR_ILLEGAL_ADDRESS), "memory was used that is not there"},
    {NAMED(CUDA_ERROR_MISALIGNED_ADDRESS), "memory was used at an address that its type does not have"},
    {NAMED(CUDA_ERROR_LAUNCH_FAILED), "a kernel failed"},
    {NAMED(CUDA_ERROR_NOT_SUPPORTED), "this driver does not do this"},
    {NAMED(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED), "not while a stream is captured"},
    {NAMED(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), "the capture failed before"},
    {NAMED(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED), "the stream is not captured"},
    {NAMED(CUDA_ERROR_CAPTURED_EVENT), "the event is part of a capture"},
    {NAMED(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD), "another thread began the capture"},
};

CUresult say(CUresult code, const char* Error::*part, const char** text) {
    if (!text) return CUDA_ERROR_INVALID_VALUE;
    for (const Error& error : ERRORS) {
        if (error.code == code) {
            *text = error.*part;
            return CUDA_SUCCESS;
        }
    }
    *text = nullptr;
    return CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

EXPORTED CUresult cuGetErrorName(CUresult code, const char** text) { return say(code, &Error::name, text); }
EXPORTED CUresult cuGetErrorString(CUresult code, const char** text) { return say(code, &Error::meaning, text); }
