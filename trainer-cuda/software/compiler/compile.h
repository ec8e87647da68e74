// From a `.cu` file to a shared library, by the host's C++ compiler.

#pragma once

#include "options.h"

#include <string>
#include <vector>

namespace software {

// The CUDA version that the compiler is of.
constexpr int TOOLKIT_MAJOR = 13, TOOLKIT_MINOR = 0;

struct Text {
    std::string name;
    std::string text;
};

struct Compiled {
    bool succeeded = false;
    std::string code;  // the shared library
    std::string log;   // what the compiler said
};

// Compiles a source that includes no more than these headers.
Compiled compile(const Text& source, const std::vector<Text>& headers, const Options& options);

}  // namespace software
