#!/usr/bin/env bash
# Builds the browser's engine: wasm/ to www/pkg/{golf_wasm.js,golf_wasm.d.ts,golf_wasm_bg.wasm}.
#
#   bash www/scripts/build-wasm.sh          the module that is shipped: optimized, and refused above its size limit
#   bash www/scripts/build-wasm.sh --quick  the same without wasm-opt, to try something
#   bash www/scripts/build-wasm.sh --route  builds nothing: names the route there is, or fails
#   bash www/scripts/build-wasm.sh --ahead  only what takes long and needs no packages: the code, and the program that binds it
#
# Three routes to a standard library for wasm32, tried in this order: one that is installed, one that rustup downloads,
# and one built from Debian's sources where rustup can download nothing. It says which it took.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly TARGET=wasm32-unknown-unknown
readonly LIMIT=1500000 # bytes, gzipped
readonly DEBIAN=/usr/bin/rustc
target_dir=$(cargo metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]+)".*/\1/')

say() { printf '%s\n' "$*" >&2; }

has_std() { ls "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib"/libstd-*.rlib >/dev/null 2>&1; }

rustup_adds_std() {
  command -v rustup >/dev/null || return 1
  # Where nothing can be downloaded, rustup may take long to say so.
  local patience=()
  if command -v timeout >/dev/null; then patience=(timeout 180); fi
  "${patience[@]}" rustup target add "$TARGET" >/dev/null 2>&1 && has_std
}

# Debian's compiler, new enough for this workspace, with its library's sources.
debian_has_sources() {
  [ -x "$DEBIAN" ] && [ -d "$("$DEBIAN" --print sysroot)/lib/rustlib/src" ] || return 1
  local least
  least=$(sed -nE 's/^rust-version = "(.*)"$/\1/p' Cargo.toml)
  [ "$(printf '%s\n' "$least" "$("$DEBIAN" --version | cut -d ' ' -f 2)" | sort -V | head -n 1)" = "$least" ]
}

build=()
choose_route() {
  if has_std; then
    say "route: the installed standard library for $TARGET"
  elif rustup_adds_std; then
    say "route: rustup downloaded the standard library for $TARGET"
  elif debian_has_sources; then
    say "route: the standard library is built from Debian's sources"
    local linker
    linker="$(rustc --print sysroot)/lib/rustlib/$(rustc --print host-tuple)/bin/rust-lld"
    export RUSTC=$DEBIAN RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
    build=(-Zbuild-std=std,panic_abort)
  else
    say "error: no standard library for $TARGET"
    say "hint: rustup target add $TARGET; on Debian: apt-get install rustc-web rust-web-src"
    exit 1
  fi
}

version_of() { grep -A1 "^name = \"$1\"$" "$2" | sed -nE 's/^version = "(.*)"$/\1/p'; }

# JavaScript for the module, by a wasm-bindgen of the version that the module was built with.
bind() {
  local version program
  version=$(version_of wasm-bindgen Cargo.lock)
  program=${WASM_BINDGEN:-wasm-bindgen}
  if [ "$("$program" --version 2>/dev/null)" = "wasm-bindgen $version" ]; then
    "$program" --target web --out-dir "$2" "$1"
    return
  fi
  if [ "$(version_of wasm-bindgen-cli-support wasm/bindgen/Cargo.lock)" != "$version" ]; then
    say "error: wasm/bindgen is for another wasm-bindgen: expected $version, as in Cargo.lock"
    say "hint: name that version in wasm/bindgen/Cargo.toml and run cargo update there"
    exit 1
  fi
  of_bindgen run --quiet -- "$1" "$2"
}

# The program of wasm/bindgen, for the machine that builds, whatever the module's route is.
of_bindgen() {
  local command=$1
  shift
  env -u RUSTC -u RUSTC_BOOTSTRAP -u RUSTFLAGS \
    cargo "$command" --locked --manifest-path wasm/bindgen/Cargo.toml --target-dir "$target_dir/bindgen" "$@"
}

choose_route
if [ "${1:-}" = --route ]; then exit; fi
# As a cdylib alone: for a crate that is an rlib as well, cargo leaves the profile's `lto` out. So all code is generated here,
# with a flag for all: LLVM's loop strength reduction writes addresses as sums that might wrap, which an engine computes one by
# one, where it would otherwise put the offset into the instruction that loads.
RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-feature=+simd128" \
  cargo rustc -p golf-wasm --lib --crate-type cdylib --profile wasm --target "$TARGET" "${build[@]}" -- \
  -Cllvm-args=-disable-lsr

if [ "${1:-}" = --ahead ]; then
  of_bindgen build
  exit
fi

out=www/pkg
rm -rf "$out"
bind "$target_dir/$TARGET/wasm/golf_wasm.wasm" "$out"
module=$out/golf_wasm_bg.wasm
if [ "${1:-}" != --quick ]; then
  # The npm package, in node_modules: Debian's binaryen 108 writes modules that browsers refuse.
  www/node_modules/.bin/wasm-opt -O3 --enable-simd --enable-bulk-memory --enable-nontrapping-float-to-int \
    --enable-sign-ext --enable-mutable-globals --enable-reference-types --enable-multivalue \
    -o "$module.opt" "$module"
  mv "$module.opt" "$module"
fi

raw=$(wc -c <"$module")
gzipped=$(gzip -9 -c "$module" | wc -c)
glue=$(gzip -9 -c "$out/golf_wasm.js" | wc -c)
say "golf_wasm_bg.wasm: $raw bytes, $gzipped gzipped; golf_wasm.js: $glue gzipped"
if [ $((gzipped + glue)) -gt $LIMIT ]; then
  say "error: expected at most $LIMIT gzipped bytes of module and glue, got $((gzipped + glue))"
  exit 1
fi
