// Commands of the host, by a shell's means without a shell. What they print goes through files, which need no reader.

#include "process.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
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

// The child's side: never returns.
void become(const std::vector<std::string>& words, const std::string& folder, int output, int errors) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    if (chdir(folder.c_str()) == 0 && dup2(output, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0) {
        execvp(arguments[0], arguments.data());
    }
    _exit(127);
}

}  // namespace

Ended run_command(const std::vector<std::string>& words, const std::string& folder) {
    Ended ended;
    const int output = memfd_create("output", MFD_CLOEXEC), errors = memfd_create("errors", MFD_CLOEXEC);
    const pid_t child = output >= 0 && errors >= 0 ? fork() : -1;
    if (child == 0) become(words, folder, output, errors);
    if (child < 0) ended.errors = std::strerror(errno);
    int status = 0;
    if (child > 0) {
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
        ended.started = !WIFEXITED(status) || WEXITSTATUS(status) != 127;
        ended.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        ended.output = contents(output);
        ended.errors = contents(errors);
    }
    if (output >= 0) close(output);
    if (errors >= 0) close(errors);
    return ended;
}

}  // namespace software
