// Commands of the host, by a shell's means without a shell. What they print goes through files, which need no reader.

#include "process.h"

#include <cerrno>
#include <cstring>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace software {
namespace {

std::string contents(int file) {
    std::string text;
    char part[4096];
    lseek(file, 0, SEEK_SET);
    for (ssize_t count; (count = read(file, part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(count));
    return text;
}

}  // namespace

// Not by a fork: that asks for as much memory as this process has, of which the stacks of emulated threads are most.
Ended run_command(const std::vector<std::string>& words, const std::string& folder) {
    Ended ended;
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const int output = memfd_create("output", MFD_CLOEXEC), errors = memfd_create("errors", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
    pid_t child = 0;
    const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        ended.errors = std::strerror(failed);
    } else {
        int status = 0;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
        ended.started = true;
        ended.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        ended.output = contents(output);
        ended.errors = contents(errors);
    }
    if (output >= 0) close(output);
    if (errors >= 0) close(errors);
    return ended;
}

}  // namespace software
