#!/usr/bin/env bash
# One call on a machine with an NVIDIA GPU: correctness, goldens, determinism, speed. Results go to docs/bench with the
# device's name. Needs cargo, a driver, and NVRTC (tests/nvrtc.sh fetches it).
#
#   trainer-cuda/device-check.sh [GOLDEN_FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

golden="${1:-../shared/golden}"
device="${GOLF_DEVICE:-cuda:0}"
say() { printf '\n== %s\n' "$*"; }

# shellcheck source=../tests/nvrtc.sh
. tests/nvrtc.sh
find_nvrtc || { echo "error: NVRTC was not found and could not be fetched"; exit 1; }
cargo build --release --quiet -p golf-cli
golf="${CARGO_TARGET_DIR:-target}/release/golf"

say "device"
"$golf" doctor
name="$("$golf" doctor --json | python3 -c '
import json, re, sys
rows = [row for row in json.load(sys.stdin)["devices"] if row["device"] == sys.argv[1]]
print(re.sub(r"[^a-z0-9]+", "-", rows[0]["name"].lower()).strip("-")) if rows else sys.exit("no such device")
' "$device")"

say "every kernel compiles"
REQUIRE_NVRTC=1 cargo test --release --quiet -p golf-cuda --test nvrtc

say "every op against the oracle"
REQUIRE_BACKENDS=cuda cargo test --release --quiet -p golf-tests --test conformance every_backend -- --nocapture
REQUIRE_BACKENDS=cuda cargo test --release --quiet -p golf-tests --test devices -- --nocapture

say "goldens"
if [ -d "$golden" ]; then
    "$golf" selftest --golden "$golden" --device "$device"
else
    echo "skipped: no golden folder \`$golden\`"
fi

say "two runs, bit by bit"
REQUIRE_BACKENDS=cuda cargo test --release --quiet -p golf-tests --test cuda two_runs -- --nocapture

say "speed"
mkdir -p docs/bench
for preset in baseline pr549; do
    "$golf" bench --model "$preset" --rows 16 --device "$device" -o json >"docs/bench/$(date +%F)-$name-$preset.json"
done
"$golf" bench kernels --device "$device" -o json >"docs/bench/$(date +%F)-$name-kernels.json"
ls -l docs/bench/*"$name"*.json
