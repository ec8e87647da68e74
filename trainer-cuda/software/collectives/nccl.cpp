// The interface of NVIDIA's library of collectives, as far as the project calls it, between processes of one machine. Sums are
// formed in rank order. What is left where nothing is promised is NaN, and calls that differ between ranks end the program:
// the real library would wait forever, or add up the wrong things. A rank that is gone is an asynchronous error, and the call goes
// on waiting for it until the communicator is aborted. GOLF_SOFTWARE_CUDA_STALL=RANK:CALL:HOW does to this rank's call of that number
// what HOW says: `hang` for ever, `fail` as if another rank were gone, or `stop` or `kill` the process in it. Built with GOLF_OLD it
// is a version before 2.4, which cannot be aborted.
//
// The driver runs work when somebody waits for it, but a rank may wait for another in other ways, whose work a GPU would have
// done by itself. So what is queued here runs after a while, whoever waits.

#include "../driver/api.h"
#include "meeting.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
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
    ncclRemoteError = 6,
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

// What happens to a call, instead of its work, to see what a program does then.
struct Stall {
    int rank = -1;
    unsigned long long call = 0;
    char how[8] = "";

    Stall() {
        const char* told = std::getenv("GOLF_SOFTWARE_CUDA_STALL");
        if (told && std::sscanf(told, "%d:%llu:%7s", &rank, &call, how) != 3) end("GOLF_SOFTWARE_CUDA_STALL is no RANK:CALL:HOW");
    }
};

// Runs a stream, a while after work was queued on it.
class Runner {
public:
    Runner() : context_(here()), thread_([this] { run(); }) {}

    // From another thread than its own.
    void end() {
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
        CUstream before = nullptr;
        while (!ended_) {
            std::this_thread::sleep_for(PATIENCE);
            const CUstream noted = stream_.exchange(nullptr);
            // Again in the round after: what is queued right behind a call, such as an event, may have come too late.
            if (const CUstream stream = noted ? noted : before) {
                cuCtxSetCurrent(context_);
                cuStreamSynchronize(stream);
            }
            before = noted;
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
    unsigned long long calls = 0, moves = 0;
    std::atomic<bool> aborted{false};
    std::atomic<int> error{ncclSuccess};
    std::shared_ptr<Comm> self;  // the program's; calls that wait have others

    // Until the program gives up on it, as kernels do that wait for another device.
    void hang() const {
        while (!aborted) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }

    void lose() {
        error = ncclRemoteError;
        hang();
    }

    void stall() {
        static const Stall stall;
        if (stall.rank != meeting->rank() || stall.call != calls) return;
        const std::string how = stall.how;
        if (how == "stop" || how == "kill") raise(how == "stop" ? SIGSTOP : SIGKILL);
        if (how == "fail") error = ncclRemoteError;
        hang();
    }

    // Refuses ranks that make another call than rank 0; false where one is gone.
    bool agree(const Move& move) {
        const uint64_t header[] = {static_cast<uint64_t>(move.kind), static_cast<uint64_t>(move.root), move.count, moves};
        std::vector<char> own(sizeof header);
        std::memcpy(own.data(), header, sizeof header);
        const auto all = meeting->gather(own);
        for (size_t rank = 1; rank < all.size(); rank++) {
            if (all[rank] != own) end("rank %zu makes another call than rank 0", rank);
        }
        return meeting->met();
    }

    void run(const std::vector<Move>& group) {
        calls++;
        stall();
        for (const Move& move : group) {
            if (!aborted) run(move);
        }
    }

    void run(const Move& move) {
        if (!agree(move)) return lose();
        moves++;
        std::vector<char> bytes(move.count * sizeof(float));
        std::memcpy(bytes.data(), move.at, bytes.size());
        const auto all = meeting->gather(bytes);
        if (!all.empty()) bytes = move.kind == Kind::broadcast ? all[static_cast<size_t>(move.root)] : summed(all);
        if (!meeting->broadcast(bytes)) return lose();
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
    std::shared_ptr<Comm> comm;
    std::vector<Move> moves;
};

void do_call(void* data) {
    const std::unique_ptr<Call> call(static_cast<Call*>(data));
    call->comm->run(call->moves);
}

ncclResult_t queue() {
    if (group.moves.empty()) return ncclSuccess;
    auto call = std::make_unique<Call>(Call{group.comm->self, std::move(group.moves)});
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
#ifdef GOLF_OLD
    *version = 2307;
#else
    *version = 22700;
#endif
    return ncclSuccess;
}

EXPORTED const char* ncclGetErrorString(ncclResult_t result) {
    switch (result) {
        case ncclSuccess: return "no error";
        case ncclUnhandledCudaError: return "the driver refused a call";
        case ncclSystemError: return "the ranks did not meet";
        case ncclInvalidArgument: return "invalid argument";
        case ncclInvalidUsage: return "invalid usage";
        case ncclRemoteError: return "another rank is gone";
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
    auto made = std::make_shared<Comm>();
    made->meeting = std::make_unique<Meeting>(name, size, rank);
    const bool met = made->meeting->met();
    if (!met || !are_apart(*made->meeting)) {
        made->runner.end();
        return met ? ncclInvalidUsage : ncclSystemError;
    }
    made->self = made;
    *comm = made.get();
    return ncclSuccess;
}

#ifndef GOLF_OLD
EXPORTED ncclResult_t ncclCommAbort(Comm* comm) {
    if (std::getenv("GOLF_SOFTWARE_CUDA_COUNTS")) std::fprintf(stderr, "software NCCL: %llu collectives\n", comm->moves);
    comm->aborted = true;
    comm->meeting->leave();
    comm->runner.end();
    const auto last = std::move(comm->self);
    return ncclSuccess;
}

EXPORTED ncclResult_t ncclCommGetAsyncError(Comm* comm, int* error) {
    if (!comm || !error) return ncclInvalidArgument;
    *error = comm->error;
    return ncclSuccess;
}
#endif

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
