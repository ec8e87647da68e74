# shellcheck shell=bash
# Finds NVIDIA's run-time compiler, or fetches it; it needs no GPU. To be sourced from the project's root.
#
# find_nvrtc: 0 and GOLF_NVRTC set where it is there; 1 where it cannot be had.

# A driver runs code of its own CUDA's major version and of older ones: the newest that all drivers of one take.
nvrtc_package() {
    local driver
    driver="$(nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\([0-9]*\).*/\1/p' | head -n 1)"
    if [ "${driver:-13}" -ge 13 ]; then echo nvidia-cuda-nvrtc==13.0.88; else echo nvidia-cuda-nvrtc-cu12==12.9.86; fi
}

find_nvrtc() {
    if [ -n "${GOLF_NVRTC:-}" ]; then return 0; fi
    local folder
    for folder in "${CUDA_PATH:+$CUDA_PATH/lib64}" /usr/local/cuda/lib64 "${CARGO_TARGET_DIR:-$PWD/target}/nvrtc"; do
        if [ -n "$folder" ] && compgen -G "$folder/libnvrtc.so*" >/dev/null; then
            export GOLF_NVRTC="$folder"
            return 0
        fi
    done
    fetch_nvrtc
}

# The Python package index has it as a wheel, which is a zip archive.
fetch_nvrtc() {
    command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 || return 1
    local folder="${CARGO_TARGET_DIR:-$PWD/target}/nvrtc" work
    work="$(mktemp -d)"
    python3 -m pip download --quiet --retries 1 --timeout 20 --no-deps --dest "$work" "$(nvrtc_package)" >&2 &&
        mkdir -p "$folder" &&
        python3 -m zipfile -e "$work"/*.whl "$work/wheel" &&
        cp "$work"/wheel/nvidia/*/lib/libnvrtc.so.* "$work"/wheel/nvidia/*/lib/libnvrtc-builtins.so.* "$folder/" &&
        export GOLF_NVRTC="$folder"
    local code=$?
    rm -rf "$work"
    return "$code"
}
