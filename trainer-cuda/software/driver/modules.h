// Code that was loaded.

#pragma once

#include "../compiler/module.h"

#include <map>
#include <memory>
#include <string>

namespace software {

struct Function {
    const golf::Entry* entry;
    const char** misaligned;
};

struct Module {
    void* library;
    int file;  // that it lies in
    std::map<std::string, std::unique_ptr<Function>> functions;
};

}  // namespace software
