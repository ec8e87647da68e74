// The interface of NVIDIA's library of collectives, as far as the project calls it, between processes of one machine. Sums are
// formed in rank order. What is left where nothing is promised is NaN, and calls that differ between ranks end the program:
// the real library would wait forever, or add up the wrong things.
//
// The driver runs work when somebody waits for it, but a rank may wait for another in other ways, whose work a GPU would have
// done by itself. So what is queued here runs after a while, whoever waits.

#include "../driver/api.h"
#include "meeting.h"

#include <atomic>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <thread>

extern "C" CUresult cuCtxGetCurrent(CUcontext* context);
extern "C" CUresult cuCtxSetCurrent(CUcontext context);
extern "C" CUresult cuCtxGetDevice(CUdevice* device);
extern "C" CUresult cuDeviceGetPCIBusId(char* name, int bytes, CUdevice device);
extern "C" CUresult cuStreamSynchronize(CUstream stream);
extern "C" CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data);
extern "C" CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* bytes, CUdeviceptr pointer);

#define EXPORTED extern "C" __attribute__((visibility("default")))

using software::Meeting;

enum ncclResult_t : int {
    ncclSuccess = 0,
    ncclUnhandledCudaError = 1,
    ncclSystemError = 2,
    ncclInvalidArgument = 4,
    ncclInvalidUsage = 5,
};

constexpr int FLOAT32 = 7;
constexpr int SUM = 0;

struct ncclUniqueId {
    char internal[128];
};

namespace {

enum class Kind : int { all_reduce, reduce, broadcast };

// One collective on one buffer.
struct Move {
    Kind kind;
    int root;
    size_t count;
    float* at;
};

[[noreturn]] void end(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::fputs("software NCCL: ", stderr);
    std::vfprintf(stderr, format, arguments);
    std::fputs("\n", stderr);
    va_end(arguments);
    std::_Exit(70);
}

}  // namespace

// How late work runs at most.
constexpr std::chrono::milliseconds PATIENCE(100);

// Runs a stream, a while after work was queued on it.
class Runner {
public:
    Runner() : context_(here()), thread_([this] { run(); }) {}

    ~Runner() {
        ended_ = true;
        thread_.join();
    }

    void note(CUstream stream) { stream_ = stream; }

private:
    static CUcontext here() {
        CUcontext context = nullptr;
        cuCtxGetCurrent(&context);
        return context;
    }

    void run() {
        while (!ended_) {
            std::this_thread::sleep_for(PATIENCE);
            const CUstream stream = stream_.exchange(nullptr);
            if (!stream) continue;
            cuCtxSetCurrent(context_);
            cuStreamSynchronize(stream);
        }
    }

    CUcontext context_;
    std::atomic<CUstream> stream_{nullptr};
    std::atomic<bool> ended_{false};
    std::thread thread_;  // after what it uses
};

struct Comm {
    std::unique_ptr<Meeting> meeting;
    Runner runner;
    unsigned long long moves = 0;

    // Refuses ranks that make another call than rank 0.
    void agree(const Move& move) {
        const uint64_t header[] = {static_cast<uint64_t>(move.kind), static_cast<uint64_t>(move.root), move.count, moves};
        std::vector<char> own(sizeof header);
        std::memcpy(own.data(), header, sizeof header);
        const auto all = meeting->gather(own);
        for (size_t rank = 1; rank < all.size(); rank++) {
            if (all[rank] != own) end("rank %zu makes another call than rank 0", rank);
        }
        if (!meeting->met()) end("a rank is gone");
    }

    void run(const Move& move) {
        agree(move);
        moves++;
        std::vector<char> bytes(move.count * sizeof(float));
        std::memcpy(bytes.data(), move.at, bytes.size());
        const auto all = meeting->gather(bytes);
        if (!all.empty()) bytes = move.kind == Kind::broadcast ? all[static_cast<size_t>(move.root)] : summed(all);
        if (!meeting->broadcast(bytes)) end("a rank is gone");
        if (move.kind == Kind::reduce && meeting->rank() != move.root) {
            for (size_t i = 0; i < move.count; i++) move.at[i] = std::numeric_limits<float>::quiet_NaN();
        } else {
            std::memcpy(move.at, bytes.data(), bytes.size());
        }
    }

    static std::vector<char> summed(const std::vector<std::vector<char>>& all) {
        std::vector<float> sum(all[0].size() / sizeof(float));
        std::memcpy(sum.data(), all[0].data(), all[0].size());
        for (size_t rank = 1; rank < all.size(); rank++) {
            const float* next = reinterpret_cast<const float*>(all[rank].data());
            for (size_t i = 0; i < sum.size(); i++) sum[i] += next[i];
        }
        std::vector<char> bytes(all[0].size());
        std::memcpy(bytes.data(), sum.data(), bytes.size());
        return bytes;
    }
};

namespace {

// Calls between the start and the end of a group, and where they are queued.
struct Group {
    bool open = false;
    Comm* comm = nullptr;
    CUstream stream = nullptr;
    std::vector<Move> moves;
};

thread_local Group group;

struct Call {
    Comm* comm;
    std::vector<Move> moves;
};

void do_call(void* data) {
    const std::unique_ptr<Call> call(static_cast<Call*>(data));
    for (const Move& move : call->moves) call->comm->run(move);
}

ncclResult_t queue() {
    if (group.moves.empty()) return ncclSuccess;
    auto call = std::make_unique<Call>(Call{group.comm, std::move(group.moves)});
    group.moves.clear();
    if (cuLaunchHostFunc(group.stream, do_call, call.get()) != CUDA_SUCCESS) return ncclUnhandledCudaError;
    call.release();
    group.comm->runner.note(group.stream);
    return ncclSuccess;
}

// Takes a call whose buffer, in place, is that of a device.
ncclResult_t take(Kind kind, const void* from, void* to, size_t count, int type, int root, Comm* comm, CUstream stream) {
    if (!comm || type != FLOAT32 || root < 0 || root >= comm->meeting->size()) return ncclInvalidArgument;
    if (from != to) return ncclInvalidUsage;
    CUdeviceptr base = 0;
    size_t there = 0;
    const auto at = reinterpret_cast<CUdeviceptr>(to);
    const bool known = cuMemGetAddressRange_v2(&base, &there, at) == CUDA_SUCCESS;
    if (!known || at - base + count * sizeof(float) > there) return ncclInvalidArgument;
    if (!group.moves.empty() && (group.comm != comm || group.stream != stream)) return ncclInvalidUsage;
    group.comm = comm;
    group.stream = stream;
    group.moves.push_back({kind, root, count, static_cast<float*>(to)});
    return group.open ? ncclSuccess : queue();
}

// Whether every rank has a device of its own, which the library insists on: "Duplicate GPU detected", an invalid usage.
bool are_apart(Meeting& meeting) {
    CUdevice device = 0;
    std::vector<char> own(32);
    if (cuCtxGetDevice(&device) == CUDA_SUCCESS) cuDeviceGetPCIBusId(own.data(), static_cast<int>(own.size()), device);
    const auto all = meeting.gather(own);
    std::vector<char> verdict{1};
    for (size_t rank = 0; rank < all.size(); rank++) {
        for (size_t other = 0; other < rank; other++) {
            if (all[rank] == all[other]) verdict[0] = 0;
        }
    }
    return meeting.broadcast(verdict) && verdict[0] == 1;
}

}  // namespace

EXPORTED ncclResult_t ncclGetVersion(int* version) {
    *version = 22700;
    return ncclSuccess;
}

EXPORTED const char* ncclGetErrorString(ncclResult_t result) {
    switch (result) {
        case ncclSuccess: return "no error";
        case ncclUnhandledCudaError: return "the driver refused a call";
        case ncclSystemError: return "the ranks did not meet";
        case ncclInvalidArgument: return "invalid argument";
        case ncclInvalidUsage: return "invalid usage";
    }
    return "unknown";
}

EXPORTED ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    const std::string name = software::listen_somewhere();
    if (name.empty()) return ncclSystemError;
    std::memset(id, 0, sizeof *id);
    std::memcpy(id->internal, name.data(), name.size());
    return ncclSuccess;
}

EXPORTED ncclResult_t ncclCommInitRank(Comm** comm, int size, ncclUniqueId id, int rank) {
    if (!comm || size < 1 || rank < 0 || rank >= size) return ncclInvalidArgument;
    const std::string name(id.internal, strnlen(id.internal, sizeof id.internal));
    auto made = std::make_unique<Comm>();
    made->meeting = std::make_unique<Meeting>(name, size, rank);
    if (!made->meeting->met()) return ncclSystemError;
    if (!are_apart(*made->meeting)) return ncclInvalidUsage;
    *comm = made.release();
    return ncclSuccess;
}

EXPORTED ncclResult_t ncclCommAbort(Comm* comm) {
    if (std::getenv("GOLF_SOFTWARE_CUDA_COUNTS")) std::fprintf(stderr, "software NCCL: %llu collectives\n", comm->moves);
    delete comm;
    return ncclSuccess;
}

EXPORTED ncclResult_t ncclGroupStart() {
    group.open = true;
    return ncclSuccess;
}

EXPORTED ncclResult_t ncclGroupEnd() {
    group.open = false;
    return queue();
}

EXPORTED ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, int type, int op, Comm* comm, CUstream stream) {
    return op == SUM ? take(Kind::all_reduce, from, to, count, type, 0, comm, stream) : ncclInvalidArgument;
}

EXPORTED ncclResult_t ncclReduce(const void* from, void* to, size_t count, int type, int op, int root, Comm* comm,
                                 CUstream stream) {
    return op == SUM ? take(Kind::reduce, from, to, count, type, root, comm, stream) : ncclInvalidArgument;
}

EXPORTED ncclResult_t ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Comm* comm,
                                    CUstream stream) {
    return take(Kind::broadcast, from, to, count, type, root, comm, stream);
}
