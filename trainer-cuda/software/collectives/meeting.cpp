#include "meeting.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <map>

namespace software {
namespace {

// Where this process listens, by name.
std::map<std::string, int>& listening() {
    static std::map<std::string, int> sockets;
    return sockets;
}

// A name without a file.
socklen_t address_of(const std::string& name, sockaddr_un& address) {
    std::memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

bool send_all(int socket, const char* bytes, size_t count) {
    while (count > 0) {
        const ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes += sent;
        count -= static_cast<size_t>(sent);
    }
    return true;
}

bool receive_all(int socket, char* bytes, size_t count) {
    while (count > 0) {
        const ssize_t received = recv(socket, bytes, count, 0);
        if (received <= 0) return false;
        bytes += received;
        count -= static_cast<size_t>(received);
    }
    return true;
}

}  // namespace

std::string listen_somewhere() {
    static int number = 0;
    const std::string name = "golf-software-nccl-" + std::to_string(getpid()) + "-" + std::to_string(number++);
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address;
    const socklen_t length = address_of(name, address);
    if (listener < 0 || bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 64) != 0) {
        return "";
    }
    listening()[name] = listener;
    return name;
}

Meeting::Meeting(const std::string& name, int size, int rank) : rank_(rank), sockets_(static_cast<size_t>(size), -1) {
    if (rank > 0) {
        sockaddr_un address;
        const socklen_t length = address_of(name, address);
        sockets_[0] = socket(AF_UNIX, SOCK_STREAM, 0);
        // Rank 0 listens since it made the name.
        met_ = connect(sockets_[0], reinterpret_cast<sockaddr*>(&address), length) == 0 &&
               send_all(sockets_[0], reinterpret_cast<const char*>(&rank), sizeof rank);
        return;
    }
    const auto listener = listening().find(name);
    met_ = size == 1 || listener != listening().end();
    for (int others = 1; met_ && others < size; others++) {
        const int peer = accept(listener->second, nullptr, nullptr);
        int number = 0;
        met_ = peer >= 0 && receive_all(peer, reinterpret_cast<char*>(&number), sizeof number) && number > 0 &&
               number < size && sockets_[static_cast<size_t>(number)] < 0;
        if (met_) sockets_[static_cast<size_t>(number)] = peer;
    }
}

Meeting::~Meeting() {
    for (const int socket : sockets_) {
        if (socket >= 0) close(socket);
    }
}

std::vector<std::vector<char>> Meeting::gather(const std::vector<char>& own) {
    if (rank_ > 0) {
        met_ = met_ && send_all(sockets_[0], own.data(), own.size());
        return {};
    }
    std::vector<std::vector<char>> all{own};
    for (size_t rank = 1; met_ && rank < sockets_.size(); rank++) {
        all.emplace_back(own.size());
        met_ = receive_all(sockets_[rank], all.back().data(), own.size());
    }
    return met_ ? all : std::vector<std::vector<char>>{};
}

bool Meeting::broadcast(std::vector<char>& bytes) {
    if (rank_ > 0) return met_ = met_ && receive_all(sockets_[0], bytes.data(), bytes.size());
    for (size_t rank = 1; met_ && rank < sockets_.size(); rank++) {
        met_ = send_all(sockets_[rank], bytes.data(), bytes.size());
    }
    return met_;
}

void Meeting::leave() {
    for (const int socket : sockets_) {
        if (socket >= 0) shutdown(socket, SHUT_RDWR);
    }
}

}  // namespace software
