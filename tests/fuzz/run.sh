#!/usr/bin/env bash
# Fuzzes every target for the given seconds, starting from its seed corpus, one target a core. Findings fail the run.
set -euo pipefail
cd "$(dirname "$0")"
export SECONDS_EACH="${1:-60}"
fuzz() {
    mkdir -p "corpus/$1"
    cargo +nightly fuzz run --fuzz-dir . "$1" "corpus/$1" "seeds/$1" -- \
        -max_total_time="$SECONDS_EACH" -rss_limit_mb=2048 -timeout=10 -print_final_stats=0
}
export -f fuzz
# All at once: what follows finds everything built.
cargo +nightly fuzz build --fuzz-dir .
cargo +nightly fuzz list --fuzz-dir . | xargs -P "$(nproc)" -I TARGET bash -euc 'fuzz TARGET'
