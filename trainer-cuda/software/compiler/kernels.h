// Which kernels are in a source.

#pragma once

#include <string>
#include <vector>

namespace software {

struct Kernel {
    std::string name;
    std::string most_threads;  // of a block: an expression; `0` where there is none
};

// The kernels of a source whose macros are expanded, but for CUDA's own words.
std::vector<Kernel> kernels_of(const std::string& source);

}  // namespace software
