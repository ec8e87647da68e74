#!/usr/bin/env bash
# One call on a machine with an NVIDIA GPU: correctness, goldens, determinism, speed, and a real training. Results go to
# docs/bench with the device's name. A step that lacks something says so and is counted as skipped; a step that fails ends
# the run with a summary of all. Where a call may not take long, --only runs the steps one by one: what they leave for each
# other stays in the folder that --keep names.
#
#   trainer-cuda/device-check.sh [OPTIONS]
#     --list              print the steps and end
#     --only STEP,...     run these steps only
#     --golden DIR        fixtures of the independent implementation (default: ../shared/golden)
#     --models NAME,...   presets that are timed (default: baseline,pr549,pr585)
#     --peer FILE         PyTorch peer for the speed of a training step; --python NAME has torch (default: python3),
#                         --peer-device NAME is what it calls the device (default: its own)
#     --window N          tokens of a window (default: 2048); --rows N, windows of a chunk (default: 16); --step-rows N, windows
#                         of a training step (default: 48); --micro-rows N, those that a GPU takes at once (default: all)
#     --steps N           timed steps (default: 30); --chunks N, timed chunks of test-time training (default: 64)
#     --text FILE         train on this text (documents between empty lines; may be .xz), --tokenizer FILE with this model,
#                         and score --score FILE (repeatable) with windows that slide by --stride N (default: 64);
#                         --preset NAME (default: pr549), --seconds N (default: 600), --set KEY=VALUE of its recipe (repeatable)
#     --keep DIR          where tokens and the trained model stay (default: runs/device-check)
#     --pack DIR          build programs, tests and kernels into DIR, for a machine without cargo, and end
#
# With GOLF_BIN_DIR=DIR, what --pack made there is used and nothing is built. GOLF_DEVICE is the device (default: cuda:0).
# NVRTC is needed, which tests/nvrtc.sh finds or fetches, unless the kernels were packed too; libraries in other folders are
# named in GOLF_NVRTC, compiled kernels in GOLF_KERNELS. GOLF_WGMMA=off keeps Hopper's own products out.
set -euo pipefail
cd "$(dirname "$0")/.."

# Name and purpose of every step, in order; `step_NAME` runs it.
steps=(
    "doctor|what the machine has"
    "kernels|every kernel compiles"
    "ops|every op against the oracle, in f32 and bf16"
    "goldens|fixtures of the independent implementation"
    "bits|two runs, bit by bit"
    "resume|a resumed run ends in the bytes of one that never stopped"
    "sanitizer|compute-sanitizer on small cases"
    "speed|scoring, generation and test-time training, ops of a training step, single kernels"
    "peer|training steps, alternating with PyTorch: time, tokens per second, MFU, memory"
    "ttt|chunks of test-time training, alternating with PyTorch"
    "tokens|the text to train on, as tokens"
    "train|a timed training, and its weights as they were before quantization"
    "score|bits per byte of the texts: before quantization, after it, and adapted"
)

golden=../shared/golden
models=baseline,pr549,pr585
peer=
python=python3
peer_device=
window=2048
rows=16
step_rows=48
micro_rows=
timed_steps=30
chunks=64
text=
tokenizer=
scored=()
stride=64
preset=pr549
seconds=600
settings=()
keep=runs/device-check
only=
pack=
list=
device="${GOLF_DEVICE:-cuda:0}"

usage() { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0"; }
die() { printf 'error: %s\n' "$1" >&2; exit 2; }

while [ $# -gt 0 ]; do
    case "$1" in
        --list) list=1; shift; continue ;;
        -h | --help) usage; exit 0 ;;
        --only | --golden | --models | --peer | --python | --peer-device | --window | --rows | --step-rows | --micro-rows | --steps | \
            --chunks | --text | --tokenizer | --score | --stride | --preset | --seconds | --set | --keep | --pack) ;;
        *) die "unknown option \`$1\`; --help lists all" ;;
    esac
    [ $# -ge 2 ] || die "\`$1\` needs a value"
    case "$1" in
        --only) only="$2" ;;
        --golden) golden="$2" ;;
        --models) models="$2" ;;
        --peer) peer="$2" ;;
        --python) python="$2" ;;
        --peer-device) peer_device="$2" ;;
        --window) window="$2" ;;
        --rows) rows="$2" ;;
        --step-rows) step_rows="$2" ;;
        --micro-rows) micro_rows="$2" ;;
        --steps) timed_steps="$2" ;;
        --chunks) chunks="$2" ;;
        --text) text="$2" ;;
        --tokenizer) tokenizer="$2" ;;
        --score) scored+=("$2") ;;
        --stride) stride="$2" ;;
        --preset) preset="$2" ;;
        --seconds) seconds="$2" ;;
        --set) settings+=(--set "$2") ;;
        --keep) keep="$2" ;;
        --pack) pack="$2" ;;
    esac
    shift 2
done

wanted() { [ -z "$only" ] || [[ ",$only," == *",$1,"* ]]; }
for name in ${only//,/ }; do
    printf '%s\n' "${steps[@]}" | grep -q "^$name|" || die "no step \`$name\`; --list prints all"
done
if [ -n "$list" ]; then
    for step in "${steps[@]}"; do
        if wanted "${step%%|*}"; then printf '%-10s %s\n' "${step%%|*}" "${step#*|}"; fi
    done
    exit 0
fi

# Tests that run on a device, as package and name.
tests=("golf-cuda nvrtc" "golf-tests conformance" "golf-tests devices" "golf-tests cuda")

# Builds everything into a folder that needs no cargo afterwards.
pack_into() {
    local folder="$1" package test file
    mkdir -p "$folder/tests"
    cargo build --release --quiet -p golf-cli
    for file in golf golf-train golf-eval; do cp "${CARGO_TARGET_DIR:-target}/release/$file" "$folder/"; done
    for test in "${tests[@]}"; do
        read -r package test <<<"$test"
        file="$(cargo test --release --quiet -p "$package" --test "$test" --no-run --message-format=json |
            python3 -c 'import json, sys
found = [m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable") and m["target"]["name"] == sys.argv[1]]
print(found[-1])' "$test")"
        cp "$file" "$folder/tests/$test"
    done
    # Names of functions are a third of what has to be copied.
    if command -v strip >/dev/null; then strip "$folder"/golf* "$folder"/tests/*; fi
    if find_nvrtc; then
        "$folder/golf" kernels --arch sm_80 --arch sm_90 --out "$folder/kernels" | tail -1
    else
        printf 'no NVRTC here: kernels are not packed, and the other machine needs it\n'
    fi
    printf 'packed into %s: copy it and the project there, and set GOLF_BIN_DIR\n' "$folder"
}

# shellcheck source=tests/nvrtc.sh
. tests/nvrtc.sh
if [ -n "$pack" ]; then
    pack_into "$pack"
    exit 0
fi

if [ -z "${GOLF_KERNELS:-}" ] && [ -n "${GOLF_BIN_DIR:-}" ] && [ -d "$GOLF_BIN_DIR/kernels" ]; then
    GOLF_KERNELS="$(cd "$GOLF_BIN_DIR/kernels" && pwd)"
    export GOLF_KERNELS
fi
nvrtc=1
find_nvrtc || nvrtc=
# A Python that has torch brought cuBLASLt and NCCL too, which may be nowhere else.
of_python="$("$python" -c 'import glob, nvidia
print(":".join(lib for path in nvidia.__path__ for lib in sorted(glob.glob(path + "/*/lib"))))' 2>/dev/null || true)"
if [ -n "$of_python" ]; then export GOLF_NVRTC="${GOLF_NVRTC:+$GOLF_NVRTC:}$of_python"; fi
for folder in ${of_python//:/ }; do
    if compgen -G "$folder/libnvrtc.so*" >/dev/null; then nvrtc=1; fi
done
[ -n "$nvrtc" ] || [ -n "${GOLF_KERNELS:-}" ] || die "NVRTC was not found and could not be fetched, and no kernels were packed"
if [ -z "${GOLF_BIN_DIR:-}" ]; then
    command -v cargo >/dev/null || die "no cargo here: set GOLF_BIN_DIR to what \`--pack\` made elsewhere"
    cargo build --release --quiet -p golf-cli
fi
bin="${GOLF_BIN_DIR:-${CARGO_TARGET_DIR:-target}/release}"
[ -x "$bin/golf" ] || die "no program \`$bin/golf\`"

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
skipped=()
skip() { skipped+=("$1"); printf 'skipped: %s\n' "$1"; }

# One test of the list above; a built one where there is no cargo.
run_test() {
    local package="$1" test="$2"
    shift 2
    if [ -n "${GOLF_BIN_DIR:-}" ]; then
        [ -x "$GOLF_BIN_DIR/tests/$test" ] || die "no test \`$GOLF_BIN_DIR/tests/$test\`"
        "$GOLF_BIN_DIR/tests/$test" "$@" --nocapture
    else
        cargo test --release --quiet -p "$package" --test "$test" -- "$@" --nocapture
    fi
}

# The file for a result of this name.
result() { printf 'docs/bench/%s-%s-%s.json' "$(date +%F)" "$name" "$1"; }

step_doctor() {
    "$bin/golf" doctor
    name="$("$bin/golf" doctor --json | python3 -c '
import json, re, sys
rows = [row for row in json.load(sys.stdin)["devices"] if row["device"] == sys.argv[1]]
print(re.sub(r"[^a-z0-9]+", "-", rows[0]["name"].lower()).strip("-")) if rows else sys.exit(f"no device {sys.argv[1]}")
' "$device")"
    mkdir -p docs/bench
    "$bin/golf" doctor --json | python3 -c 'import json, sys; sys.exit("problem" in json.load(sys.stdin)["cuda"]["cublaslt"])' ||
        skip "no cuBLASLt: products in bf16 are formed by golf's own kernels, which are slower"
}

step_kernels() {
    if [ -z "$nvrtc" ]; then
        skip "no NVRTC: the kernels in \`$GOLF_KERNELS\` are used as they are"
    else
        REQUIRE_NVRTC=1 run_test golf-cuda nvrtc
    fi
}

step_ops() {
    REQUIRE_BACKENDS=cuda run_test golf-tests conformance every_backend
    REQUIRE_BACKENDS=cuda run_test golf-tests devices
    REQUIRE_BACKENDS=cuda run_test golf-tests cuda of_bf16
}

step_goldens() {
    if [ -d "$golden" ]; then
        "$bin/golf" selftest --golden "$golden" --device "$device"
    else
        skip "no golden folder \`$golden\`"
    fi
}

step_bits() { REQUIRE_BACKENDS=cuda run_test golf-tests cuda two_runs; }

# A shard of tokens that repeat with a long period.
write_shard() {
    python3 - "$1" <<'PYTHON'
import struct, sys
tokens = [(i * i // 5 + i) % 64 for i in range(20_000)]
with open(sys.argv[1], "wb") as shard:
    shard.write(struct.pack("<256i", 20240520, 1, len(tokens), *[0] * 253) + struct.pack(f"<{len(tokens)}H", *tokens))
PYTHON
}

step_resume() {
    local data="$work/shards" precision run
    mkdir -p "$data"
    write_shard "$data/t_train_000000.bin"
    for precision in f32 bf16; do
        run=("$bin/golf-train" --preset nano --data "$data" --device "$device" --precision "$precision" --quiet
            --iterations 20 --max-wallclock-seconds 0)
        "${run[@]}" --out "$work/$precision-a" --checkpoint-every 10 --set checkpoint_keep=9
        "${run[@]}" --out "$work/$precision-b"
        "${run[@]}" --out "$work/$precision-c" --resume "$work/$precision-a/checkpoint-00000010.safetensors"
        cmp "$work/$precision-a/artifact.bin" "$work/$precision-b/artifact.bin"
        cmp "$work/$precision-a/artifact.bin" "$work/$precision-c/artifact.bin"
        printf '%s: one run, another and a resumed one end in the same bytes\n' "$precision"
    done
}

step_sanitizer() {
    local tool
    if ! command -v compute-sanitizer >/dev/null; then
        skip "no compute-sanitizer"
        return
    fi
    for tool in memcheck racecheck initcheck; do
        compute-sanitizer --tool "$tool" --error-exitcode 9 "$bin/golf" selftest --golden tests/goldens --device "$device"
    done
    # Fixtures are in f32; heads of 64 channels take Hopper's own products where there are any.
    compute-sanitizer --tool memcheck --error-exitcode 9 "$bin/golf" plan trace baseline --phase gradient --rows 1 --window 256 \
        --device "$device" --precision bf16 >/dev/null
}

step_speed() {
    local model precision phase
    for model in ${models//,/ }; do
        for precision in f32 bf16; do
            "$bin/golf" bench --model "$model" --rows "$rows" --window "$window" --device "$device" --precision "$precision" \
                -o json >"$(result "$model-$precision")"
            for phase in gradient update; do
                "$bin/golf" plan trace "$model" --phase "$phase" --rows "$rows" --window "$window" --device "$device" \
                    --precision "$precision" -o json >"$(result "$model-$precision-$phase-by-op")"
            done
        done
    done
    for precision in f32 bf16; do
        "$bin/golf" bench kernels --device "$device" --precision "$precision" -o json >"$(result "kernels-$precision")"
    done
    # Attention without Hopper's own products, to compare.
    GOLF_WGMMA=off "$bin/golf" bench kernels --device "$device" --precision bf16 -o json >"$(result kernels-bf16-warps)"
}

# Times golf against the peer, or alone where there is none, and says in a line per model what came out.
versus() {
    local what="$1" file command
    shift
    file="$(result "$what")"
    command=(python3 tests/bench/cuda_vs_torch.py --what "$what" --golf "$bin/golf" --presets "$models" --device "$device"
        --seq "$window" "$@")
    if [ -z "$peer" ]; then
        skip "no PyTorch peer for \`$what\` (--peer): golf alone"
    elif ! "$python" -c 'import torch' 2>/dev/null; then
        skip "\`$python\` has no torch (--python): golf alone in \`$what\`"
    else
        command+=(--peer "$peer" --python "$python" ${peer_device:+--peer-device "$peer_device"})
    fi
    "${command[@]}" >"$file"
    python3 - "$file" <<'PYTHON'
import json, sys
for row in json.load(open(sys.argv[1]))["results"]:
    for who in ("golf", "peer"):
        if who in row:
            ms, rate, mfu, memory = (row[who][key] for key in ("ms", "tokens_per_s", "mfu", "memory_mib"))
            print(f"{row['preset']} {who}: {ms} ms, {rate} tokens/s, MFU {mfu}, {memory} MiB")
    if "peer" in row:
        print(f"{row['preset']}: {row['time_ratio_golf_to_peer']} of the peer's time")
PYTHON
}

step_peer() { versus step --rows "$step_rows" --steps "$timed_steps" ${micro_rows:+--micro-batch-rows "$micro_rows"}; }

step_ttt() { versus ttt --rows "$rows" --steps "$chunks"; }

step_tokens() {
    if [ -z "$text" ] || [ -z "$tokenizer" ]; then
        skip "no text to train on (--text and --tokenizer)"
        return
    fi
    if compgen -G "$keep/tokens/*_manifest.json" >/dev/null; then
        printf 'the tokens in `%s` are used as they are\n' "$keep"
        return
    fi
    mkdir -p "$keep"
    case "$text" in
        *.xz) python3 -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$text" >"$work/text.txt" ;;
        *) cp "$text" "$work/text.txt" ;;
    esac
    "$bin/golf" data tokenize "$work/text.txt" --tokenizer "$tokenizer" --out "$keep/tokens"
    rm "$work/text.txt"
}

step_train() {
    local last
    if [ ! -d "$keep/tokens" ]; then
        skip "no tokens in \`$keep\` to train on (the step tokens)"
        return
    fi
    "$bin/golf-train" --preset "$preset" --data "$keep/tokens" --tokenizer "$tokenizer" --device "$device" --precision bf16 \
        --max-wallclock-seconds "$seconds" --out "$keep/model" "${settings[@]}"
    # The same weights in an artifact of floats.
    last="$(find "$keep/model" -name 'checkpoint-*.safetensors' | sort | tail -n 1)"
    "$bin/golf" quantize "$last" --out "$keep/raw.bin" --tensor '.*=fp32' --calib none --target-bytes 1GB \
        --tokenizer "$keep/model/artifact.bin"
}

step_score() {
    local file stem
    if [ ! -f "$keep/model/artifact.bin" ] || [ "${#scored[@]}" = 0 ]; then
        skip "no trained model in \`$keep\`, or no text to score (--score)"
        return
    fi
    for file in "${scored[@]}"; do
        stem="$(basename "${file%.*}")"
        score "$file" "$stem-raw" "$keep/raw.bin" --ttt off
        score "$file" "$stem-off" "$keep/model/artifact.bin" --ttt off
        score "$file" "$stem-score-first" "$keep/model/artifact.bin" --ttt score-first
    done
}

# Scores text $1 into result $2 with model $3.
score() {
    local text="$1" file model="$3"
    file="$(result "$2")"
    shift 3
    "$bin/golf-eval" "$model" --text "$text" --stride "$stride" --batch-tokens 65536 --device "$device" --precision bf16 \
        --json "$@" >"$file"
    python3 -c 'import json, sys; print(sys.argv[1], json.load(open(sys.argv[1]))["val_bpb"], "bits per byte")' "$file"
}

failed=
for step in "${steps[@]}"; do
    now="${step%%|*}"
    # Everything else names its results after the device.
    if ! wanted "$now" && [ "$now" != doctor ]; then continue; fi
    printf '\n== %s: %s\n' "$now" "${step#*|}"
    # Not in an `if`, which would switch `set -e` off inside.
    set +e
    (set -e; "step_$now"; printf '%s\n' "${name:-}" >"$work/name"; printf '%s\n' "${skipped[@]}" >"$work/skipped")
    code=$?
    set -e
    [ "$code" = 0 ] || { failed="$now"; break; }
    read -r name <"$work/name"
    mapfile -t skipped < <(grep . "$work/skipped" || true)
done

printf '\n== summary\n'
printf 'skipped: %s\n' "${skipped[@]:-nothing}"
ls -l docs/bench/*"${name:-none}"*.json 2>/dev/null || echo "no results were written"
[ -z "$failed" ] || { printf 'FAILED: %s\n' "$failed"; exit 1; }
echo "all that ran passed"
