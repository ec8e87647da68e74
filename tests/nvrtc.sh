# shellcheck shell=bash
# Finds NVIDIA's run-time compiler, or fetches it; it needs no GPU. To be sourced from the project's root.
#
# find_nvrtc: 0 and GOLF_NVRTC set where it is there; 1 where it cannot be had.

nvrtc_version=13.0.88

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
    python3 -m pip download --quiet --no-deps --dest "$work" "nvidia-cuda-nvrtc==$nvrtc_version" >&2 &&
        mkdir -p "$folder" &&
        python3 -m zipfile -e "$work"/*.whl "$work/wheel" &&
        cp "$work"/wheel/nvidia/*/lib/libnvrtc.so.* "$work"/wheel/nvidia/*/lib/libnvrtc-builtins.so.* "$folder/" &&
        export GOLF_NVRTC="$folder"
    local code=$?
    rm -rf "$work"
    return "$code"
}
