// Kernels are found by their words: `__global__ void`, perhaps `__launch_bounds__(…)`, the name. Macros that make kernels are
// expanded before, so the words are all there is to know.

#include "kernels.h"

#include <cctype>

namespace software {
namespace {

struct Reader {
    const std::string& text;
    size_t at;

    void skip_space() {
        while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) at++;
    }

    std::string word() {
        skip_space();
        const size_t first = at;
        while (at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) || text[at] == '_')) at++;
        return text.substr(first, at - first);
    }

    // What stands between a pair of parentheses.
    std::string enclosed() {
        skip_space();
        const size_t first = at + 1;
        int depth = 0;
        for (; at < text.size(); at++) {
            depth += (text[at] == '(') - (text[at] == ')');
            if (depth == 0) return text.substr(first, at++ - first);
        }
        return "";
    }
};

// Up to the first comma that is not enclosed.
std::string first_of(const std::string& list) {
    int depth = 0;
    for (size_t i = 0; i < list.size(); i++) {
        depth += (list[i] == '(') - (list[i] == ')');
        if (list[i] == ',' && depth == 0) return list.substr(0, i);
    }
    return list;
}

}  // namespace

std::vector<Kernel> kernels_of(const std::string& source) {
    static const std::string MARK = "__global__";
    std::vector<Kernel> kernels;
    for (size_t at = source.find(MARK); at != std::string::npos; at = source.find(MARK, at + 1)) {
        Reader reader{source, at + MARK.size()};
        Kernel kernel{"", "0"};
        for (std::string word = reader.word(); !word.empty(); word = reader.word()) {
            if (word == "__launch_bounds__") {
                kernel.most_threads = first_of(reader.enclosed());
            } else if (word != "void") {
                kernel.name = word;
                break;
            }
        }
        if (!kernel.name.empty()) kernels.push_back(kernel);
    }
    return kernels;
}

}  // namespace software
