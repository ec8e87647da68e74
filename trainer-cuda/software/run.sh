#!/usr/bin/env bash
# Runs a command on the software CUDA device, built first where it is not (into GOLF_SOFTWARE_CUDA, default: target/software-cuda).
#
#   trainer-cuda/software/run.sh COMMAND [ARGUMENT]...
#
# The device is what these say: GOLF_SOFTWARE_CUDA_DEVICES (1), GOLF_SOFTWARE_CUDA_MEMORY (bytes, 8 GiB),
# GOLF_SOFTWARE_CUDA_ORDER (`backwards` runs threads and blocks last to first). GOLF_SOFTWARE_CUDA_PRODUCTS=no leaves the
# library of products out. Compiled kernels are kept beside the libraries: no GPU's are among them.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
out="${GOLF_SOFTWARE_CUDA:-${CARGO_TARGET_DIR:-$here/../../target}/software-cuda}"
"$here/build.sh" "$out"
out="$(cd "$out" && pwd)"
export LD_LIBRARY_PATH="$out/driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export GOLF_NVRTC="$out/toolkit"
export XDG_CACHE_HOME="$out/cache"
unset CUDA_PATH
exec "$@"
