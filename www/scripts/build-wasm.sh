#!/usr/bin/env bash
# Builds the browser's engine: wasm/ to www/pkg/{golf_wasm.js,golf_wasm.d.ts,golf_wasm_bg.wasm}.
#
#   bash www/scripts/build-wasm.sh          the module that is shipped: optimized, and refused above its size limit
#   bash www/scripts/build-wasm.sh --quick  the same without wasm-opt, to try something
#
# Three routes to a standard library for wasm32, tried in this order: one that is installed, one that rustup downloads,
# and one built from Debian's sources where rustup can download nothing. It says which it took.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly TARGET=wasm32-unknown-unknown
readonly LIMIT=1500000 # bytes, gzipped
target_dir=$(cargo metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]+)".*/\1/')

say() { printf '%s\n' "$*" >&2; }

has_std() { ls "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib"/libstd-*.rlib >/dev/null 2>&1; }

build=()
choose_route() {
  if has_std; then
    say "route: the installed standard library for $TARGET"
  elif command -v rustup >/dev/null && rustup target add "$TARGET" >/dev/null 2>&1 && has_std; then
    say "route: rustup downloaded the standard library for $TARGET"
  elif [ -x /usr/bin/rustc ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src" ]; then
    say "route: the standard library is built from Debian's sources"
    local linker
    linker="$(rustc --print sysroot)/lib/rustlib/$(rustc --print host-tuple)/bin/rust-lld"
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
    build=(-Zbuild-std=std,panic_abort)
  else
    say "error: no standard library for $TARGET"
    say "hint: rustup target add $TARGET; on Debian: apt-get install rustc-web rust-web-src"
    exit 1
  fi
}

# wasm-bindgen's program and crate must have the same version.
bindgen=
find_bindgen() {
  local version root
  version=$(grep -A1 '^name = "wasm-bindgen"$' Cargo.lock | sed -nE 's/^version = "(.*)"$/\1/p')
  root="$target_dir/tools"
  for bindgen in "${WASM_BINDGEN:-}" "$root/bin/wasm-bindgen" "$(command -v wasm-bindgen || true)"; do
    if [ -n "$bindgen" ] && [ "$("$bindgen" --version 2>/dev/null)" = "wasm-bindgen $version" ]; then return; fi
  done
  say "installing wasm-bindgen-cli $version"
  # Not --locked: its lock file has named versions that the index does not have.
  cargo install wasm-bindgen-cli --version "$version" --root "$root" --target-dir "$target_dir/tools-build"
  bindgen="$root/bin/wasm-bindgen"
}

choose_route
find_bindgen
RUSTFLAGS="${RUSTFLAGS:-} -Ctarget-feature=+simd128" \
  cargo build -p golf-wasm --profile wasm --target "$TARGET" "${build[@]}"

out=www/pkg
rm -rf "$out"
"$bindgen" --target web --out-dir "$out" "$target_dir/$TARGET/wasm/golf_wasm.wasm"
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
