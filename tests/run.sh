#!/usr/bin/env bash
# Every test there is, on a fresh machine: installs what it needs where it may, says what it had to leave out.
set -euo pipefail
cd "$(dirname "$0")/.."

skipped=()
say() { printf '\n== %s\n' "$*"; }
# shellcheck source=tests/nvrtc.sh
. tests/nvrtc.sh
skip() { skipped+=("$1"); printf 'skipped: %s\n' "$1"; }

say "tools"
command -v cargo >/dev/null || { echo "error: cargo is missing; install Rust (rust-toolchain.toml names the version)"; exit 1; }
# zstd's C sources need a compiler; a GPU backend needs a driver, and Mesa has one in software.
packages=()
command -v cc >/dev/null || packages+=(gcc libc6-dev)
# CUDA's kernels are checked without a GPU by a C++ compiler, and by NVIDIA's own, which tests/nvrtc.sh fetches.
command -v c++ >/dev/null || packages+=(g++)
compgen -G "/usr/share/vulkan/icd.d/*.json" >/dev/null || compgen -G "/etc/vulkan/icd.d/*.json" >/dev/null ||
    packages+=(mesa-vulkan-drivers libvulkan1)
if [ "${#packages[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
command -v cc >/dev/null || { echo "error: no C compiler (\`cc\`), and no right to install one"; exit 1; }
cargo --version

# Two builds share nothing with the others, and are one crate on one core for most of their time: they are made beside lints,
# documentation and the tests' build. The parts below that need them find them, or make them and say what is wrong.
build_beside() {
    # As tests/fuzz/run.sh does it.
    (cd tests/fuzz && cargo +nightly fuzz build --fuzz-dir .) || true
    bash www/scripts/build-wasm.sh --ahead || true
}
# In a process group of its own, which ends with this script.
set -m
build_beside >/dev/null 2>&1 &
beside_job=$!
set +m
trap 'kill -- "-$beside_job" 2>/dev/null || true' EXIT

say "format and lints"
cargo fmt --all --check
cargo clippy --workspace --all-targets --quiet -- -D warnings

say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

say "licences, bans, sources"
if cargo deny --version >/dev/null 2>&1; then
    cargo deny check licenses bans sources
else
    skip "cargo deny is not installed (cargo install cargo-deny)"
fi

say "tests"
# Tests that use more of the shared fixtures pass without them; cargo hides what a passing test prints, so it is said here.
if [ ! -d ../shared/golden ]; then
    skip "no ../shared beside the project: only the committed fixtures were replayed, no public artifact was imported"
fi
if compgen -G "/usr/share/vulkan/icd.d/*.json" >/dev/null || compgen -G "/etc/vulkan/icd.d/*.json" >/dev/null; then
    required=cpu,wgpu
else
    required=cpu
    skip "no Vulkan driver (Debian: mesa-vulkan-drivers): nothing ran on the wgpu backend"
fi
if [ "$(uname -s)" = Linux ] && command -v c++ >/dev/null; then
    required="$required,cuda-emulated"
else
    skip "no C++ compiler on Linux: CUDA's kernels were not emulated"
fi
if find_nvrtc; then
    export REQUIRE_NVRTC=1
else
    skip "NVRTC could not be had: CUDA's kernels were not compiled for a GPU"
fi
"${GOLF_TORCH_PYTHON:-python3}" -c 'import torch' 2>/dev/null ||
    skip "no PyTorch (GOLF_TORCH_PYTHON names a Python that has it): no exported file was read by torch.load"
export REQUIRE_BACKENDS="${REQUIRE_BACKENDS:-$required}"
cargo test --workspace --no-run
# Nothing is tested beside a build: some tests watch the clock.
wait "$beside_job"
cargo test --workspace --no-fail-fast

say "parsers under a fuzzer"
if cargo +nightly fuzz --version >/dev/null 2>&1; then
    bash tests/fuzz/run.sh "${FUZZ_SECONDS:-10}"
else
    skip "cargo-fuzz or a nightly toolchain is not installed; the seed corpora ran as plain tests"
fi

say "the page in a browser"
page_log=$(mktemp)
target_dir=$(cargo metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]+)".*/\1/')
# Against the programs that the tests above were built with.
GOLF_BIN="$target_dir/debug" bash www/scripts/ci.sh | tee "$page_log"
while read -r reason; do skipped+=("$reason"); done < <(sed -n 's/^skipped: //p' "$page_log")
rm "$page_log"

say "summary"
printf '%d part(s) skipped\n' "${#skipped[@]}"
for reason in "${skipped[@]}"; do printf '  - %s\n' "$reason"; done
