#!/usr/bin/env bash
# Builds the software CUDA device into a folder: the driver (driver/libcuda.so), the compiler (toolkit/libnvrtc.so), the
# library of products (products/libcublasLt.so) and that of collectives (collectives/libnccl.so.2; an older one
# in collectives-old). Does nothing where the folder holds what these sources make.
#
#   trainer-cuda/software/build.sh OUT_DIR
#
# The C++ compiler is the one that `CXX` names, else `c++`, `g++` or `clang++`; it must be there when programs run as well.
# Without one the exit code is 3.
set -euo pipefail
[ $# = 1 ] || { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
mkdir -p "$1"
out="$(cd "$1" && pwd)"
cd "$(dirname "$0")"
emulation=../src/emulate

compiler=
for candidate in ${CXX:+"$CXX"} c++ g++ clang++; do
    if "$candidate" --version >/dev/null 2>&1; then compiler="$candidate"; break; fi
done
[ -n "$compiler" ] || { echo "error: no C++ compiler: install g++ or clang++, or name one in \`CXX\`" >&2; exit 3; }

# Compiler and driver know each other by this, and the driver refuses modules of any other build.
stamp="$({ "$compiler" --version; cat build.sh driver/* compiler/* products/* collectives/* $emulation/*.h $emulation/*.cuh; } |
    sha256sum | cut -c1-32)"
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

work="$(mktemp -d "$out/.work-XXXXXX")"
trap 'rm -rf "$work"' EXIT
mkdir "$work/driver" "$work/toolkit" "$work/products" "$work/collectives" "$work/collectives-old" "$work/texts"
# Texts as C++ strings.
for text in $emulation/emulate.h $emulation/mma.cuh $emulation/wgmma.cuh compiler/module.h; do
    { printf 'R"golf('; cat "$text"; printf ')golf"'; } >"$work/texts/$(basename "$text").text"
done

# Names without a version are those that a program asks for first: no library of NVIDIA's is found before these.
flags=(-std=c++17 -O2 -Wall -Wextra -fPIC -shared -fvisibility=hidden -pthread "-DGOLF_STAMP=\"$stamp\"")
"$compiler" "${flags[@]}" -Wl,-soname,libcuda.so -o "$work/driver/libcuda.so" driver/*.cpp -ldl &
"$compiler" "${flags[@]}" '-DGOLF_OPTIMIZATION="-O1"' -I "$work/texts" -Wl,-soname,libnvrtc.so \
    -o "$work/toolkit/libnvrtc.so" compiler/*.cpp &
for job in $(jobs -p); do wait "$job"; done
"$compiler" "${flags[@]}" -O3 -Wl,-soname,libcublasLt.so -o "$work/products/libcublasLt.so" products/*.cpp \
    -L "$work/driver" -l:libcuda.so
"$compiler" "${flags[@]}" -Wl,-soname,libnccl.so.2 -o "$work/collectives/libnccl.so.2" collectives/*.cpp \
    -L "$work/driver" -l:libcuda.so
"$compiler" "${flags[@]}" -DGOLF_OLD -Wl,-soname,libnccl.so.2 -o "$work/collectives-old/libnccl.so.2" collectives/*.cpp \
    -L "$work/driver" -l:libcuda.so

rm -rf "$out/driver" "$out/toolkit" "$out/products" "$out/collectives" "$out/collectives-old" "$out/cache" "$out/stamp"
mv "$work/driver" "$work/toolkit" "$work/products" "$work/collectives" "$work/collectives-old" "$out/"
printf '%s\n' "$stamp" >"$out/stamp"
