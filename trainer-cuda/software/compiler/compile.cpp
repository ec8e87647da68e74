// Two runs of the host's compiler: one expands macros and so shows which kernels there are, the other compiles the text with
// CUDA's language as C++ before it and a table of its kernels behind it.

#include "compile.h"
#include "kernels.h"
#include "process.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace software {
namespace {

namespace fs = std::filesystem;

// CUDA's language as C++, and what stands in for the headers that hold a GPU's instructions: the same texts as in the emulation
// of `trainer-cuda/src/emulate`, made into strings when this library is built.
const char* const LANGUAGE =
#include "emulate.h.text"
    ;
const Text INSTRUCTIONS[] = {
    {"shared/mma.cuh",
#include "mma.cuh.text"
    },
    {"shared/wgmma.cuh",
#include "wgmma.cuh.text"
    },
};
const char* const MODULE =
#include "module.h.text"
    ;

// Results are those of IEEE arithmetic in the order written. Only the table is visible to others: what C++ would share
// between libraries must not be.
const std::vector<std::string> FLAGS = {
    "-std=c++17", GOLF_OPTIMIZATION, "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE",
    "-fvisibility=hidden", "-fsanitize=alignment",
};

// A folder that goes with its owner.
struct Folder {
    fs::path path;

    Folder() {
        std::string name = (fs::temp_directory_path() / "golf-nvrtc-XXXXXX").string();
        if (mkdtemp(name.data())) path = name;
    }
    ~Folder() {
        std::error_code ignored;
        if (!path.empty()) fs::remove_all(path, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
};

bool write(const Folder& folder, const std::string& name, const std::string& text) {
    const fs::path path = folder.path / name;
    std::error_code failed;
    fs::create_directories(path.parent_path(), failed);
    std::ofstream file(path, std::ios::binary);
    file << text;
    return file.good();
}

std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// The first compiler that starts: `CXX`, else `c++`, `g++` or `clang++`; none, and `why`, if no process does.
std::string compiler(std::string& why) {
    std::vector<std::string> candidates = {"c++", "g++", "clang++"};
    if (const char* named = std::getenv("CXX")) candidates.insert(candidates.begin(), named);
    for (const std::string& candidate : candidates) {
        const Ended ended = run_command({candidate, "--version"}, "/");
        if (ended.started) return candidate;
        why = ended.errors;
    }
    return "";
}

// What the sanitizer of alignments calls, in place of its own library: on a GPU such an access loses the device. A thread that
// made one goes no further.
constexpr char MISALIGNED[] = R"golf(
#include <cstdio>
namespace golf { static const char* misaligned; }
struct golf_misaligned { const char* file; unsigned line, column; const void* type; unsigned char log_alignment; };
extern "C" void __ubsan_handle_type_mismatch_v1(golf_misaligned* access, void* pointer) {
    static char text[256];
    std::snprintf(text, sizeof text, "%s:%u: %p is not at a multiple of %u bytes", access->file, access->line, pointer,
                  1u << access->log_alignment);
    golf::failure = golf::misaligned = text;
    for (;;) golf::suspend(golf::State::at_block);
}
)golf";

// What the driver finds in the library.
std::string table(const std::vector<Kernel>& kernels, unsigned architecture) {
    std::stringstream text;
    text << "\n#include \"module.h\"\n" << MISALIGNED;
    for (const Kernel& kernel : kernels) text << "GOLF_ENTRY(" << kernel.name << ")\n";
    text << "static const golf::Entry golf_entries[] = {\n";
    for (const Kernel& kernel : kernels) text << "    GOLF_ROW(" << kernel.name << ", (" << kernel.most_threads << ")),\n";
    text << "};\nextern \"C\" __attribute__((visibility(\"default\"))) const golf::Module golf_module = {\"" << GOLF_STAMP << "\", "
         << TOOLKIT_MAJOR << ", " << architecture << ", golf_entries, " << kernels.size() << ", &golf::misaligned};\n";
    return text.str();
}

bool write_all(const Folder& folder, const Text& source, const std::vector<Text>& headers) {
    bool written = !folder.path.empty() && write(folder, "emulate.h", LANGUAGE) && write(folder, "module.h", MODULE);
    for (const Text& header : headers) written = written && write(folder, header.name, header.text);
    for (const Text& header : INSTRUCTIONS) written = written && write(folder, header.name, header.text);
    return written && write(folder, source.name, source.text);
}

}  // namespace

Compiled compile(const Text& source, const std::vector<Text>& headers, const Options& options) {
    Compiled compiled;
    const Folder folder;
    if (!write_all(folder, source, headers)) {
        compiled.log = "error: no folder to write to among temporary files\n";
        return compiled;
    }
    std::string why;
    const std::string command = compiler(why);
    if (command.empty()) {
        compiled.log = "error: no C++ compiler: tried `c++`, `g++`, `clang++` and what `CXX` names\n" + why + "\n";
        return compiled;
    }
    std::vector<std::string> words = {command, "-I", ".", "-x", "c++"};
    words.insert(words.end(), options.defines.begin(), options.defines.end());
    std::vector<std::string> expand = words;
    expand.insert(expand.end(), {"-E", "-P", source.name});
    const Ended expanded = run_command(expand, folder.path.string());
    compiled.log = expanded.errors;
    if (!expanded.succeeded) return compiled;
    const std::vector<Kernel> kernels = kernels_of(expanded.output);
    if (kernels.empty()) {
        compiled.log += "error: `" + source.name + "` holds no kernel\n";
        return compiled;
    }
    if (!write(folder, source.name, source.text + table(kernels, options.architecture))) return compiled;
    words.insert(words.end(), FLAGS.begin(), FLAGS.end());
    words.insert(words.end(), {"-include", "emulate.h", "-o", "made.so", source.name});
    const Ended made = run_command(words, folder.path.string());
    compiled.log += made.errors;
    compiled.code = made.succeeded ? read(folder.path / "made.so") : "";
    compiled.succeeded = !compiled.code.empty();
    return compiled;
}

}  // namespace software
