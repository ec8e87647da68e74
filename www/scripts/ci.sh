#!/usr/bin/env bash
# The page from nothing: a browser, the packages, the engine, the build, every test. What it must leave out it names, with the reason;
# what it can run and fails, fails.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { printf 'skipped: %s\n' "$1"; }
may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
install() { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; }

node_major=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+).*/\1/' || true)
if ! command -v npm >/dev/null || [ "${node_major:-0}" -lt 20 ]; then
    skip "the page: it needs npm and Node 20.19 or newer"
    exit 0
fi
npm ci
npm run test:unit

# A standard library for wasm: installed, by rustup, or Debian's sources, as build-wasm.sh takes them.
wasm_std() {
    rustup target add wasm32-unknown-unknown >/dev/null 2>&1 ||
        [ -d "$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null)" ] ||
        [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src" ]
}
if ! wasm_std && may_install; then install rustc-web rust-web-src || true; fi
if ! wasm_std; then
    skip "the page in a browser: no standard library for wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)"
    exit 0
fi
npm run build

export CHROMIUM="${CHROMIUM:-/usr/bin/chromium}"
if [ ! -x "$CHROMIUM" ] && may_install; then install chromium fonts-liberation; fi
if [ ! -x "$CHROMIUM" ]; then
    skip "the page in a browser: no Chromium at $CHROMIUM (set CHROMIUM)"
    exit 0
fi
npm run test:browser
