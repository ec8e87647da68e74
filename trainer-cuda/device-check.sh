#!/usr/bin/env bash
# One call on a machine with an NVIDIA GPU: correctness, goldens, determinism, speed, and a real training. Every result is a file
# that is named after day, device and what it is of, written as soon as it is there. A step that lacks something says so and is
# counted as skipped; one that fails is named at the end, and the next ones run. Where a call may not take long, --budget ends it
# in time and --only runs what is left: what steps leave for each other stays in the folder that --keep names, and a training that
# was interrupted goes on.
#
#   trainer-cuda/device-check.sh [OPTIONS]
#     --list              print the steps and end
#     --only STEP,...     run these steps only
#     --budget SECONDS    no step begins after so many seconds, and one that runs is ended then; both are named
#     --results DIR       where results go (default: docs/bench)
#     --bundle DIR        copy all of this call's results into DIR/results.tar.gz, and the trained artifact beside it
#     --golden DIR        fixtures of the independent implementation (default: ../shared/golden, or else those in tests/goldens)
#     --models NAME,...   presets that are timed (default: baseline,pr549,pr585)
#     --peer FILE         PyTorch peer for the speed of a training step; --python NAME has torch (default: python3),
#                         --peer-device NAME is what it calls the device (default: its own)
#     --window N          tokens of a window (default: 2048); --rows N, windows of a chunk (default: 16); --step-rows N, windows
#                         of a training step (default: 48); --micro-rows N, those that a GPU takes at once (default: all)
#     --steps N           timed steps (default: 30); --chunks N, timed chunks of test-time training (default: 64)
#     --kernel-sizes S    full or small ones (for a device in software) of single kernels (default: full)
#     --sanitizer-seconds N  a sanitizer that takes longer is ended (default: 120)
#     --text FILE         train on this text (documents between empty lines; may be .xz), --tokenizer FILE with this model,
#                         one in --held-out N documents for validation (default: 200), and score --score FILE (repeatable) with
#                         windows that slide by --stride N (default: 64); --preset NAME (default: pr549), --seconds N (default:
#                         600), --set KEY=VALUE of its recipe (repeatable)
#     --keep DIR          where tokens and the trained model stay (default: runs/device-check)
#     --pack DIR          build programs, tests and kernels into DIR and DIR.tar.xz, for a machine without cargo, and end; what
#                         --golden, --peer, --text, --tokenizer and --score name goes into DIR/files
#
# With GOLF_BIN_DIR=DIR, what --pack made there is used and nothing is built. GOLF_DEVICE is the device (default: cuda:0).
# NVRTC is needed, which a Python with torch brings, tests/nvrtc.sh finds or fetches, or the packed kernels replace; libraries in
# other folders are named in GOLF_NVRTC, compiled kernels in GOLF_KERNELS. GOLF_WGMMA=off keeps Hopper's own products out.
set -euo pipefail
cd "$(dirname "$0")/.."

# Name and purpose of every step, in order, what is cheap and decides most first; `step_NAME` runs it.
all_steps=(
    "doctor|what the machine has"
    "kernels|every kernel compiles"
    "ops|every op against the oracle, in f32 and bf16"
    "goldens|fixtures of the independent implementation, in f32 and bf16"
    "bits|two runs and two trainings, bit by bit, in f32 and bf16"
    "resume|a resumed run ends in the bytes of one that never stopped"
    "peer|training steps, alternating with PyTorch: time, tokens per second, MFU, memory"
    "ttt|chunks of test-time training, alternating with PyTorch"
    "speed|ops of a training step, single kernels, scoring, generation and test-time training"
    "tokens|the text to train on, as tokens"
    "train|a timed training, and its weights as they were before quantization"
    "score|bits per byte of the texts: before quantization, after it, and adapted"
    "report|the training as a page with a picture"
    "sanitizer|compute-sanitizer on small cases"
)

golden=../shared/golden
[ -d "$golden" ] || golden=tests/goldens
models=baseline,pr549,pr585
peer='' python=python3 peer_device=''
window=2048 rows=16 step_rows=48 micro_rows=''
steps=30 chunks=64 kernel_sizes=full sanitizer_seconds=120
text='' tokenizer='' held_out=200 stride=64 preset=pr549 seconds=600
scored=() settings=()
keep=runs/device-check results=docs/bench bundle=''
only='' budget='' pack='' list=''
device="${GOLF_DEVICE:-cuda:0}"
# Tests open the device that this names.
export GOLF_DEVICE="$device"
# Options that are variables of the same name.
plain=" only budget results bundle golden models peer python peer-device window rows step-rows micro-rows steps chunks kernel-sizes
 sanitizer-seconds text tokenizer held-out stride preset seconds keep pack "

usage() { sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p}' "$0"; }
die() { printf 'error: %s\n' "$1" >&2; exit 2; }

while [ $# -gt 0 ]; do
    option="${1#--}"
    case "$1" in
        --list) list=1; shift; continue ;;
        -h | --help) usage; exit 0 ;;
        --score | --set) ;;
        *) [[ "$1" == --* && "${plain//$'\n'/ }" == *" $option "* ]] || die "unknown option \`$1\`; --help lists all" ;;
    esac
    [ $# -ge 2 ] || die "\`$1\` needs a value"
    case "$1" in
        --score) scored+=("$2") ;;
        --set) settings+=(--set "$2") ;;
        *) printf -v "${option//-/_}" '%s' "$2" ;;
    esac
    shift 2
done

wanted() { [ -z "$only" ] || [[ ",$only," == *",$1,"* ]]; }
for step in ${only//,/ }; do
    printf '%s\n' "${all_steps[@]}" | grep -q "^$step|" || die "no step \`$step\`; --list prints all"
done
if [ -n "$list" ]; then
    for step in "${all_steps[@]}"; do
        if wanted "${step%%|*}"; then printf '%-10s %s\n' "${step%%|*}" "${step#*|}"; fi
    done
    exit 0
fi
[[ "$budget" =~ ^[0-9]*$ ]] || die "\`--budget\` is a number of seconds, not \`$budget\`"

# Tests that run on a device, as package and name.
tests=("golf-cuda nvrtc" "golf-tests conformance" "golf-tests devices" "golf-tests cuda")

# shellcheck source=tests/nvrtc.sh
. tests/nvrtc.sh
# shellcheck source=trainer-cuda/device-check/pack.sh
. trainer-cuda/device-check/pack.sh
# shellcheck source=trainer-cuda/device-check/correct.sh
. trainer-cuda/device-check/correct.sh
# shellcheck source=trainer-cuda/device-check/speed.sh
. trainer-cuda/device-check/speed.sh
# shellcheck source=trainer-cuda/device-check/train.sh
. trainer-cuda/device-check/train.sh

if [ -n "$pack" ]; then
    pack_into "$pack"
    exit 0
fi

if [ -z "${GOLF_KERNELS:-}" ] && [ -n "${GOLF_BIN_DIR:-}" ] && [ -d "$GOLF_BIN_DIR/kernels" ]; then
    GOLF_KERNELS="$(cd "$GOLF_BIN_DIR/kernels" && pwd)"
    export GOLF_KERNELS
fi
# A Python that has torch brought NVRTC, cuBLASLt and NCCL too, which may be nowhere else; with it nothing is fetched.
nvrtc=
of_python="$("$python" -c 'import glob, nvidia
print(":".join(lib for path in nvidia.__path__ for lib in sorted(glob.glob(path + "/*/lib"))))' 2>/dev/null || true)"
for folder in ${of_python//:/ }; do
    if compgen -G "$folder/libnvrtc.so*" >/dev/null; then nvrtc=1; fi
done
[ -n "$nvrtc" ] || { find_nvrtc && nvrtc=1; } || true
if [ -n "$of_python" ]; then export GOLF_NVRTC="${GOLF_NVRTC:+$GOLF_NVRTC:}$of_python"; fi
[ -n "$nvrtc" ] || [ -n "${GOLF_KERNELS:-}" ] || die "NVRTC was not found and could not be fetched, and no kernels were packed"
if [ -z "${GOLF_BIN_DIR:-}" ]; then
    command -v cargo >/dev/null || die "no cargo here: set GOLF_BIN_DIR to what \`--pack\` made elsewhere"
    cargo build --release --quiet -p golf-cli
fi
bin="${GOLF_BIN_DIR:-${CARGO_TARGET_DIR:-target}/release}"
[ -x "$bin/golf" ] || die "no program \`$bin/golf\`"

work="$(mktemp -d)"
job=
# What still runs goes too when this is ended from outside.
trap 'if [ -n "$job" ]; then kill -- "-$job" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
mkdir -p "$results"
today="$(date +%F)"
skip() { printf '%s\n' "$1" >>"$work/skipped"; printf 'skipped: %s\n' "$1"; }

# The file for a result of this name; one without a suffix is JSON. The step doctor found the device's name.
result() {
    local suffix=.json
    [[ "$1" != *.* ]] || suffix=
    printf '%s/%s-%s-%s%s' "$results" "$today" "$(cat "$work/name")" "$1" "$suffix"
}

# Runs a command whose output is the file $1; one that fails leaves none.
save() {
    local file="$1" code=0
    shift
    "$@" >"$file.part" || code=$?
    if [ "$code" = 0 ]; then mv "$file.part" "$file"; else rm -f "$file.part"; fi
    return "$code"
}

# What the files of results say, in lines.
figures() { python3 trainer-cuda/device-check/figures.py "$@"; }

# Runs step $1 in a process group of its own, so that all of it can be ended with the budget: a training saves its state then.
run_step() {
    local watch='' code=0 wait
    set -m
    { (set -e; "step_$1") 2>&1 | (trap '' TERM; exec tee "$work/log"); } &
    job=$!
    if [ -n "$budget" ]; then
        (sleep "$((budget > SECONDS ? budget - SECONDS : 0))" && : >"$work/late" && kill -TERM -- "-$job" && sleep 30 &&
            kill -KILL -- "-$job") 2>/dev/null &
        watch=$!
    fi
    set +m
    wait "$job" 2>/dev/null || code=$?
    if [ -e "$work/late" ]; then
        for ((wait = 0; wait < 150; wait++)); do
            kill -0 -- "-$job" 2>/dev/null || break
            sleep 0.2
        done
    fi
    job=
    if [ -n "$watch" ]; then kill -- "-$watch" 2>/dev/null || true; fi
    if [ -e "$work/name" ]; then mv "$work/log" "$(result "log-$1.txt")"; fi
    return "$code"
}

failed=() left=() table=()
for step in "${all_steps[@]}"; do
    now="${step%%|*}"
    # Everything else names its results after the device.
    if ! wanted "$now" && [ "$now" != doctor ]; then continue; fi
    if [ -n "$budget" ] && [ "$SECONDS" -ge "$budget" ]; then
        left+=("$now")
        continue
    fi
    printf '\n== %s: %s\n' "$now" "${step#*|}"
    began="$SECONDS" outcome=passed
    # Not called in a condition, which would switch `set -e` off inside.
    set +e
    run_step "$now"
    code=$?
    set -e
    if [ -e "$work/late" ]; then
        outcome='ended by the budget'
        left+=("$now")
    elif [ "$code" != 0 ]; then
        outcome=FAILED
        failed+=("$now")
    fi
    table+=("$(printf '%-10s %5d s  %s' "$now" "$((SECONDS - began))" "$outcome")")
    [ -e "$work/name" ] || break
done

printf '\n== summary\n'
[ -e "$work/name" ] || { echo "FAILED: there is no device \`$device\`"; exit 1; }
mapfile -t skipped < <(cat "$work/skipped" 2>/dev/null)
mapfile -t written < <(compgen -G "$(result '*.json')" || true)
{
    printf '%s\n' "${table[@]}"
    printf 'skipped: %s\n' "${skipped[@]:-nothing}"
    printf 'left: %s\n' "${left[*]:-nothing}"
    printf 'failed: %s\n' "${failed[*]:-nothing}"
    if [ "${#written[@]}" = 0 ]; then echo "no results were written"; else figures "${written[@]}"; fi
} 2>&1 | tee "$(result summary.txt)"
if [ -n "$bundle" ]; then
    mkdir -p "$bundle"
    prefix="$(result .)"
    prefix="${prefix##*/}"
    (cd "$results" && tar --exclude='*.part' -czf - -- "${prefix%.}"*) >"$bundle/results.tar.gz"
    if [ -f "$keep/model/artifact.bin" ]; then cp "$keep/model/artifact.bin" "$bundle/"; fi
    ls -l "$bundle"
fi
[ "${#failed[@]}" = 0 ] || { printf 'FAILED: %s\n' "${failed[*]}"; exit 1; }
if [ "${#left[@]}" = 0 ]; then echo "all that ran passed"; else printf 'all that ran passed; left: --only %s\n' "$(IFS=,; echo "${left[*]}")"; fi
