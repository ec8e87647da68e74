// Options of a compilation. What decides about rounding is read and has no effect: the host's arithmetic is IEEE's.

#include "options.h"

#include <algorithm>
#include <cstring>

namespace software {
namespace {

// Switches, and what they may be.
const char* const SWITCHES[] = {"--ftz", "--prec-div", "--prec-sqrt", "--fmad"};

bool read_architecture(const std::string& value, Options& options) {
    for (const char* prefix : {"sm_", "compute_"}) {
        if (value.rfind(prefix, 0) != 0) continue;
        std::string number = value.substr(std::strlen(prefix));
        // Hopper with what no later architecture has.
        if (number == "90a") number = "90";
        for (const unsigned known : architectures()) {
            if (number == std::to_string(known)) {
                options.architecture = known;
                options.is_virtual = prefix[0] == 'c';
                return true;
            }
        }
    }
    return false;
}

bool read(const std::string& option, Options& options) {
    const size_t equals = option.find('=');
    const std::string name = option.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : option.substr(equals + 1);
    if (name == "--gpu-architecture" || name == "-arch") return read_architecture(value, options);
    if (option.rfind("-D", 0) == 0 && option.size() > 2) {
        options.defines.push_back(option);
        return true;
    }
    const auto is_name = [&](const char* known) { return name == known; };
    if (std::any_of(std::begin(SWITCHES), std::end(SWITCHES), is_name)) return value == "true" || value == "false";
    return option == "--std=c++17" || option == "--ptxas-options=--verbose";
}

}  // namespace

const std::vector<unsigned>& architectures() {
    // Those of CUDA 13.0.
    static const std::vector<unsigned> known = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};
    return known;
}

bool read_options(int count, const char* const* given, Options& options, std::string& problem) {
    for (int i = 0; i < count; i++) {
        if (read(given[i], options)) continue;
        problem = std::string("error: invalid option or value: ") + given[i] + "\n";
        return false;
    }
    return true;
}

}  // namespace software
