// Modules: shared libraries that the stand-in compiler made. An image comes without its size, which is read from its headers,
// and everything in them is checked that this driver relies on: a file may be damaged.

#include "modules.h"
#include "state.h"

#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace software {
namespace {

// Largest image that is believed.
constexpr size_t LARGEST = size_t{256} << 20;

// Bytes of a shared library by its headers; 0 if it is none. The section headers are last in what a linker writes.
size_t image_bytes(const void* image) {
    Elf64_Ehdr header;
    if (std::memcmp(image, ELFMAG, SELFMAG) != 0) return 0;
    std::memcpy(&header, image, sizeof header);
    const bool ours = header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_type == ET_DYN && header.e_machine != EM_CUDA;
    const size_t bytes = header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
    return ours && header.e_shnum > 0 && bytes > sizeof header && bytes <= LARGEST ? bytes : 0;
}

// A file in memory that holds the image.
int file_of(const void* image, size_t bytes) {
    const int file = memfd_create("cuda-module", MFD_CLOEXEC);
    for (size_t done = 0; file >= 0 && done < bytes;) {
        const ssize_t count = write(file, static_cast<const char*>(image) + done, bytes - done);
        if (count <= 0) {
            close(file);
            return -1;
        }
        done += static_cast<size_t>(count);
    }
    return file;
}

// Whether the module is for this driver and this device.
CUresult check(const golf::Module* module) {
    if (!module || std::strcmp(module->stamp, GOLF_STAMP) != 0) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    // A driver runs code of its own major version and of older ones (CUDA compatibility, minor version compatibility).
    if (module->toolkit > driver_version() / 1000) return CUDA_ERROR_INVALID_IMAGE;
    const int major = static_cast<int>(module->architecture / 10), minor = static_cast<int>(module->architecture % 10);
    return major == COMPUTE_MAJOR && minor <= COMPUTE_MINOR ? CUDA_SUCCESS : CUDA_ERROR_NO_BINARY_FOR_GPU;
}

CUresult load(CUmodule* handle, const void* image) {
    const size_t bytes = image_bytes(image);
    if (bytes == 0) return CUDA_ERROR_INVALID_IMAGE;
    const int file = file_of(image, bytes);
    if (file < 0) return CUDA_ERROR_OPERATING_SYSTEM;
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    // The loader knows libraries by their paths, so the file keeps its number as long as it is loaded.
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        complain("a module cannot be loaded: %s", dlerror());
        close(file);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    const auto* found = static_cast<const golf::Module*>(dlsym(library, "golf_module"));
    if (const CUresult error = check(found)) {
        dlclose(library);
        close(file);
        return error;
    }
    auto* module = new Module{library, file, {}};
    for (unsigned i = 0; i < found->count; i++) {
        const golf::Entry& entry = found->entries[i];
        module->functions[entry.name] = std::make_unique<Function>(Function{&entry, found->misaligned});
    }
    *handle = module;
    return CUDA_SUCCESS;
}

}  // namespace
}  // namespace software

using namespace software;

EXPORTED CUresult cuModuleLoadData(CUmodule* handle, const void* image) {
    return in_context([&](Context& context) {
        if (!image) return CUDA_ERROR_INVALID_VALUE;
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        return load(handle, image);
    });
}

EXPORTED CUresult cuModuleUnload(CUmodule module) {
    return in_context([&](Context& context) {
        if (!module) return CUDA_ERROR_INVALID_HANDLE;
        if (const CUresult refused = refuse_in_capture(context)) return refused;
        const CUresult ran = run(context);
        dlclose(module->library);
        close(module->file);
        delete module;
        return ran;
    });
}

EXPORTED CUresult cuModuleGetFunction(CUfunction* handle, CUmodule module, const char* name) {
    return in_context([&](Context&) {
        if (!module || !name) return CUDA_ERROR_INVALID_VALUE;
        const auto found = module->functions.find(name);
        if (found == module->functions.end()) {
            complain("a module holds no kernel `%s`", name);
            return CUDA_ERROR_NOT_FOUND;
        }
        *handle = found->second.get();
        return CUDA_SUCCESS;
    });
}
