// Commands of the host.

#pragma once

#include <string>
#include <vector>

namespace software {

struct Ended {
    bool started = false;
    bool succeeded = false;
    std::string output;  // stdout
    std::string errors;  // stderr
};

// Runs a command, looked for in `PATH`, in a folder, to its end.
Ended run_command(const std::vector<std::string>& words, const std::string& folder);

}  // namespace software
