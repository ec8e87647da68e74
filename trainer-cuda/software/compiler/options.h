// Options of a compilation, as the run-time compiler of CUDA takes them.

#pragma once

#include <string>
#include <vector>

namespace software {

struct Options {
    unsigned architecture = 75;         // 90 for `sm_90`
    bool is_virtual = true;             // `compute_90`, which is what is compiled for unless said
    std::vector<std::string> defines;  // as the host's compiler takes them
};

// Architectures that the compiler knows.
const std::vector<unsigned>& architectures();

// Reads options; says in `problem` what is wrong with the first that is.
bool read_options(int count, const char* const* given, Options& options, std::string& problem);

}  // namespace software
