#!/usr/bin/env bash
# Runs a command on the software CUDA device, built first where it is not (into GOLF_SOFTWARE_CUDA, default: target/software-cuda).
#
#   trainer-cuda/software/run.sh COMMAND [ARGUMENT]...
#
# The device is what these say: GOLF_SOFTWARE_CUDA_DEVICES (1), GOLF_SOFTWARE_CUDA_MEMORY (bytes, 8 GiB),
# GOLF_SOFTWARE_CUDA_ORDER (`backwards` runs threads and blocks last to first), GOLF_SOFTWARE_CUDA_PRODUCTS and
# GOLF_SOFTWARE_CUDA_COLLECTIVES (`no` leaves the library out; `refused`, of products, refuses each when it is to be formed,
# `first-refused` the first algorithm of each; `old`, of collectives, is one before 2.4),
# GOLF_SOFTWARE_CUDA_VERSION (the CUDA that the driver is of, 13000), GOLF_SOFTWARE_CUDA_COUNTS (`yes` says at the end what was done),
# GOLF_SOFTWARE_CUDA_FAIL_AT (the kernel of this number fails, and the device is lost), GOLF_SOFTWARE_CUDA_SLOW=DEVICE:KERNEL:SECONDS (the
# kernel of this number takes so long there), GOLF_SOFTWARE_CUDA_STALL=RANK:CALL:HOW (that rank's call of this number `hang`s or
# `fail`s, or `stop`s or `kill`s its process). Compiled kernels are kept beside the libraries, unless
# GOLF_SOFTWARE_CUDA_CACHE names another folder: no GPU's are among them.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
out="${GOLF_SOFTWARE_CUDA:-${CARGO_TARGET_DIR:-$here/../../target}/software-cuda}"
"$here/build.sh" "$out"
out="$(cd "$out" && pwd)"
export LD_LIBRARY_PATH="$out/driver${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export GOLF_NVRTC="$out/toolkit"
[ "${GOLF_SOFTWARE_CUDA_PRODUCTS:-}" = no ] || GOLF_NVRTC="$GOLF_NVRTC:$out/products"
[ "${GOLF_SOFTWARE_CUDA_COLLECTIVES:-}" != old ] || old=-old
[ "${GOLF_SOFTWARE_CUDA_COLLECTIVES:-}" = no ] || GOLF_NVRTC="$GOLF_NVRTC:$out/collectives${old:-}"
export XDG_CACHE_HOME="${GOLF_SOFTWARE_CUDA_CACHE:-$out/cache}"
unset CUDA_PATH CUDA_HOME VIRTUAL_ENV CONDA_PREFIX GOLF_KERNELS
exec "$@"
