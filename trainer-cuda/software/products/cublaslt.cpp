// The interface of NVIDIA's library of products, as far as the project calls it. It takes what the real one documents that it
// takes, and holds its caller to what it was promised: sizes of attributes, extents that fit, alignments, a workspace, memory
// that is there.

#include "../driver/api.h"
#include "multiply.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

using software::Multiplication;
using software::Operand;

extern "C" CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data);
extern "C" CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr pointer);

#define EXPORTED extern "C" __attribute__((visibility("default")))

enum cublasStatus_t : unsigned {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_EXECUTION_FAILED = 13,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
};

enum cudaDataType_t : unsigned { CUDA_R_32F = 0, CUDA_R_16BF = 14 };

constexpr unsigned CUBLAS_COMPUTE_32F = 68;
constexpr uint32_t REDUCTION_IN_PLACE = 1;

struct Handle {};

struct Descriptor {
    int transposed[2] = {0, 0};
};

struct Layout {
    cudaDataType_t type;
    uint64_t rows, cols;
    int64_t pitch;
    int32_t members = 1;
    int64_t distance = 0;
};

struct Preference {
    uint64_t workspace = 0;
    uint32_t reductions = ~0u;
    uint32_t alignment[4] = {256, 256, 256, 256};  // of a, b, c, d
};

// What a caller keeps from one call to the next: eight words, opaque to it.
struct Algorithm {
    uint64_t workspace;
    uint32_t alignment[4];
    uint64_t number;
    uint64_t unused[4];
};
static_assert(sizeof(Algorithm) == 64, "eight words");

struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    cublasStatus_t state;
    float waves;
    int reserved[4];
};

namespace {

cublasStatus_t refuse(cublasStatus_t status, const char* format, ...) __attribute__((format(printf, 2, 3)));
cublasStatus_t refuse(cublasStatus_t status, const char* format, ...) {
    char text[512];
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    std::fprintf(stderr, "software cuBLASLt: %s\n", text);
    return status;
}

// Reads an attribute, which must come with its own size.
template <class T> cublasStatus_t read(T& to, const void* from, size_t bytes, unsigned attribute) {
    if (!from || bytes != sizeof(T)) {
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "attribute %u: expected %zu bytes, got %zu", attribute, sizeof(T), bytes);
    }
    std::memcpy(&to, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

// Rows and columns as the product sees them.
uint64_t rows(const Layout& layout, bool transposed) { return transposed ? layout.cols : layout.rows; }
uint64_t cols(const Layout& layout, bool transposed) { return transposed ? layout.rows : layout.cols; }

// The four matrices of a call.
struct Matrices {
    const Descriptor& descriptor;
    const Layout& a;
    const Layout& b;
    const Layout& c;
    const Layout& d;

    bool fit() const {
        const bool ta = descriptor.transposed[0] != 0, tb = descriptor.transposed[1] != 0;
        bool fit = rows(a, ta) == d.rows && cols(b, tb) == d.cols && cols(a, ta) == rows(b, tb);
        fit = fit && c.rows == d.rows && c.cols == d.cols && c.type == d.type;
        for (const Layout* layout : {&a, &b, &c, &d}) {
            fit = fit && layout->rows > 0 && layout->cols > 0 && layout->pitch >= static_cast<int64_t>(layout->rows);
            fit = fit && layout->members == d.members;
        }
        return fit;
    }
};

Operand operand(const void* address, const Layout& layout, int transposed) {
    const auto at = reinterpret_cast<unsigned long long>(address);
    return {at, transposed != 0, layout.type == CUDA_R_16BF, layout.rows, layout.cols, layout.pitch, layout.distance};
}

int64_t entry_bytes(const Operand& operand) { return operand.half ? 2 : 4; }

// Whether all members lie in one allocation, and each at a multiple of what was promised.
cublasStatus_t check(const Operand& operand, int members, uint32_t alignment, char name) {
    const int64_t entry = entry_bytes(operand);
    const int64_t last = (members - 1) * operand.distance + static_cast<int64_t>(operand.cols - 1) * operand.pitch;
    const auto bytes = static_cast<uint64_t>((last + static_cast<int64_t>(operand.rows)) * entry);
    CUdeviceptr base = 0;
    size_t there = 0;
    if (cuMemGetAddressRange_v2(&base, &there, operand.address) != CUDA_SUCCESS || operand.address - base + bytes > there) {
        return refuse(CUBLAS_STATUS_EXECUTION_FAILED, "operand %c: %llu bytes are not in memory", name,
                      static_cast<unsigned long long>(bytes));
    }
    for (int member = 0; member < members; member++) {
        const unsigned long long at = operand.address + static_cast<unsigned long long>(member * operand.distance * entry);
        if (at % alignment == 0) continue;
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "operand %c: matrix %d is not at a multiple of %u bytes", name, member,
                      alignment);
    }
    return CUBLAS_STATUS_SUCCESS;
}

// The same call is one object for good: a graph may make it at any time.
const Multiplication* kept(const Multiplication& call) {
    static std::mutex& lock = *new std::mutex;
    static auto& calls = *new std::set<Multiplication>;
    const std::lock_guard<std::mutex> alone(lock);
    return &*calls.insert(call).first;
}

void do_multiply(void* call) { software::multiply(*static_cast<const Multiplication*>(call)); }

}  // namespace

EXPORTED size_t cublasLtGetVersion() { return 130000; }

EXPORTED cublasStatus_t cublasLtCreate(Handle** handle) {
    *handle = new Handle;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtDestroy(Handle* handle) {
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulDescCreate(Descriptor** made, unsigned compute, cudaDataType_t scale) {
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    *made = new Descriptor;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulDescDestroy(Descriptor* descriptor) {
    delete descriptor;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulDescSetAttribute(Descriptor* descriptor, unsigned attribute, const void* from,
                                                       size_t bytes) {
    constexpr unsigned FIRST = 3, SECOND = 4;  // whether the operands are transposed
    if (attribute != FIRST && attribute != SECOND) return CUBLAS_STATUS_NOT_SUPPORTED;
    int& transposed = descriptor->transposed[attribute - FIRST];
    const cublasStatus_t status = read(transposed, from, bytes, attribute);
    if (status == CUBLAS_STATUS_SUCCESS && (transposed < 0 || transposed > 1)) return CUBLAS_STATUS_INVALID_VALUE;
    return status;
}

EXPORTED cublasStatus_t cublasLtMatrixLayoutCreate(Layout** made, cudaDataType_t type, uint64_t rows, uint64_t cols,
                                                   int64_t pitch) {
    *made = new Layout{type, rows, cols, pitch};
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatrixLayoutDestroy(Layout* layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatrixLayoutSetAttribute(Layout* layout, unsigned attribute, const void* from, size_t bytes) {
    switch (attribute) {
        case 5: return read(layout->members, from, bytes, attribute);
        case 6: return read(layout->distance, from, bytes, attribute);
        default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

EXPORTED cublasStatus_t cublasLtMatmulPreferenceCreate(Preference** made) {
    *made = new Preference;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulPreferenceDestroy(Preference* preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmulPreferenceSetAttribute(Preference* preference, unsigned attribute, const void* from,
                                                             size_t bytes) {
    switch (attribute) {
        case 1: return read(preference->workspace, from, bytes, attribute);
        case 3: return read(preference->reductions, from, bytes, attribute);
        case 5:
        case 6:
        case 7:
        case 8: return read(preference->alignment[attribute - 5], from, bytes, attribute);
        default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

// Takes what the real library takes for these types; sums of the host's are in one order, so no reduction is forbidden to it.
EXPORTED cublasStatus_t cublasLtMatmulAlgoGetHeuristic(Handle*, const Descriptor* descriptor, const Layout* a, const Layout* b,
                                                       const Layout* c, const Layout* d, const Preference* preference,
                                                       int wanted, Heuristic* results, int* found) {
    *found = 0;
    if (!descriptor || !a || !b || !c || !d || !preference || wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    if (!Matrices{*descriptor, *a, *b, *c, *d}.fit()) {
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "the extents of a product do not fit");
    }
    const bool types = a->type == CUDA_R_16BF && b->type == CUDA_R_16BF && (d->type == CUDA_R_32F || d->type == CUDA_R_16BF);
    if (!types || preference->reductions & REDUCTION_IN_PLACE) return CUBLAS_STATUS_NOT_SUPPORTED;
    // All of the workspace, so that a caller who brings less is told; two algorithms, of which either will do.
    for (*found = 0; *found < wanted && *found < 2; ++*found) {
        Algorithm algorithm{preference->workspace, {}, static_cast<uint64_t>(*found), {}};
        std::memcpy(algorithm.alignment, preference->alignment, sizeof algorithm.alignment);
        results[*found] = {algorithm, preference->workspace, CUBLAS_STATUS_SUCCESS, 1.0f, {}};
    }
    return CUBLAS_STATUS_SUCCESS;
}

EXPORTED cublasStatus_t cublasLtMatmul(Handle*, const Descriptor* descriptor, const void* alpha, const void* a,
                                       const Layout* a_layout, const void* b, const Layout* b_layout, const void* beta,
                                       const void* c, const Layout* c_layout, void* d, const Layout* d_layout,
                                       const Algorithm* algorithm, void* workspace, size_t workspace_bytes, CUstream stream) {
    if (!Matrices{*descriptor, *a_layout, *b_layout, *c_layout, *d_layout}.fit()) return CUBLAS_STATUS_INVALID_VALUE;
    // An algorithm that was named may still not do: not all of them take a sum that is not where the result is.
    const char* told = std::getenv("GOLF_SOFTWARE_CUDA_PRODUCTS");
    const bool refused = told && std::strcmp(told, "refused") == 0;
    const bool first_refused = told && std::strcmp(told, "first-refused") == 0 && algorithm->number == 0;
    if (refused || first_refused) return CUBLAS_STATUS_NOT_SUPPORTED;
    Multiplication call{operand(a, *a_layout, descriptor->transposed[0]), operand(b, *b_layout, descriptor->transposed[1]),
                        operand(c, *c_layout, 0), operand(d, *d_layout, 0), d_layout->members, 0.0f, 0.0f};
    std::memcpy(&call.alpha, alpha, sizeof call.alpha);
    std::memcpy(&call.beta, beta, sizeof call.beta);
    const Operand* operands[] = {&call.a, &call.b, &call.c, &call.d};
    for (int i = 0; i < 4; i++) {
        const cublasStatus_t status = check(*operands[i], call.members, algorithm->alignment[i], "abcd"[i]);
        if (status != CUBLAS_STATUS_SUCCESS) return status;
    }
    CUdeviceptr base = 0;
    size_t there = 0;
    const auto at = reinterpret_cast<CUdeviceptr>(workspace);
    const bool known = cuMemGetAddressRange_v2(&base, &there, at) == CUDA_SUCCESS;
    // The workspace must begin at a multiple of 16 bytes (cublasLtMatmul).
    if (at % 16 != 0 || workspace_bytes < algorithm->workspace || !known || at - base + workspace_bytes > there) {
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "the workspace is smaller than what the algorithm was chosen for");
    }
    const CUresult queued = cuLaunchHostFunc(stream, do_multiply, const_cast<Multiplication*>(kept(call)));
    return queued == CUDA_SUCCESS ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
