// The interface of NVIDIA's run-time compiler, as far as the project calls it. What it calls a CUBIN is a shared library here.

#include "compile.h"

#include <cstring>

enum nvrtcResult : unsigned {
    NVRTC_SUCCESS = 0,
    NVRTC_ERROR_INVALID_INPUT = 3,
    NVRTC_ERROR_INVALID_PROGRAM = 4,
    NVRTC_ERROR_INVALID_OPTION = 5,
    NVRTC_ERROR_COMPILATION = 6,
};

struct nvrtcProgram_t {
    software::Text source;
    std::vector<software::Text> headers;
    software::Compiled compiled;
};
using nvrtcProgram = nvrtcProgram_t*;

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

// A text with the zero behind it.
nvrtcResult give(const std::string& text, char* to) {
    std::memcpy(to, text.c_str(), text.size() + 1);
    return NVRTC_SUCCESS;
}

}  // namespace

EXPORTED const char* nvrtcGetErrorString(nvrtcResult result) {
    switch (result) {
        case NVRTC_SUCCESS: return "NVRTC_SUCCESS";
        case NVRTC_ERROR_INVALID_INPUT: return "NVRTC_ERROR_INVALID_INPUT";
        case NVRTC_ERROR_INVALID_PROGRAM: return "NVRTC_ERROR_INVALID_PROGRAM";
        case NVRTC_ERROR_INVALID_OPTION: return "NVRTC_ERROR_INVALID_OPTION";
        case NVRTC_ERROR_COMPILATION: return "NVRTC_ERROR_COMPILATION";
    }
    return "unknown error of NVRTC";
}

EXPORTED nvrtcResult nvrtcVersion(int* major, int* minor) {
    if (!major || !minor) return NVRTC_ERROR_INVALID_INPUT;
    *major = software::TOOLKIT_MAJOR;
    *minor = software::TOOLKIT_MINOR;
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcGetNumSupportedArchs(int* count) {
    if (!count) return NVRTC_ERROR_INVALID_INPUT;
    *count = static_cast<int>(software::architectures().size());
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcGetSupportedArchs(int* list) {
    if (!list) return NVRTC_ERROR_INVALID_INPUT;
    for (const unsigned known : software::architectures()) *list++ = static_cast<int>(known);
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* text, const char* name, int count,
                                        const char* const* headers, const char* const* names) {
    if (!program || !text || count < 0 || (count > 0 && (!headers || !names))) return NVRTC_ERROR_INVALID_INPUT;
    auto* made = new nvrtcProgram_t{{name ? name : "default_program", text}, {}, {}};
    for (int i = 0; i < count; i++) made->headers.push_back({names[i], headers[i]});
    *program = made;
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
    if (!program || !*program) return NVRTC_ERROR_INVALID_PROGRAM;
    delete *program;
    *program = nullptr;
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* given) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    software::Options options;
    program->compiled = {};
    if (!software::read_options(count, given, options, program->compiled.log)) return NVRTC_ERROR_INVALID_OPTION;
    program->compiled = software::compile(program->source, program->headers, options);
    // For an architecture that is none of a GPU there is no CUBIN, and its size is 0 (nvrtcGetCUBINSize).
    if (options.is_virtual) program->compiled.code.clear();
    return program->compiled.succeeded ? NVRTC_SUCCESS : NVRTC_ERROR_COMPILATION;
}

EXPORTED nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* bytes) {
    if (!program) return NVRTC_ERROR_INVALID_PROGRAM;
    *bytes = program->compiled.log.size() + 1;
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
    return program ? give(program->compiled.log, log) : NVRTC_ERROR_INVALID_PROGRAM;
}

EXPORTED nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* bytes) {
    if (!program || !program->compiled.succeeded) return NVRTC_ERROR_INVALID_PROGRAM;
    *bytes = program->compiled.code.size();
    return NVRTC_SUCCESS;
}

EXPORTED nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* code) {
    if (!program || !program->compiled.succeeded) return NVRTC_ERROR_INVALID_PROGRAM;
    std::memcpy(code, program->compiled.code.data(), program->compiled.code.size());
    return NVRTC_SUCCESS;
}
