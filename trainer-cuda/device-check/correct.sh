# shellcheck shell=bash disable=SC2154
# Steps of device-check.sh that say whether the device computes right. To be sourced by it, whose variables they use.

# One test of the list there; a built one where there is no cargo. On this device alone: emulated kernels and other GPUs are no
# part of this check.
run_test() {
    local package="$1" test="$2"
    shift 2
    if [ -n "${GOLF_BIN_DIR:-}" ]; then
        [ -x "$GOLF_BIN_DIR/tests/$test" ] || die "no test \`$GOLF_BIN_DIR/tests/$test\`"
        ONLY_BACKENDS=cuda "$GOLF_BIN_DIR/tests/$test" "$@" --nocapture
    else
        ONLY_BACKENDS=cuda cargo test --release --quiet -p "$package" --test "$test" -- "$@" --nocapture
    fi
}

step_doctor() {
    "$bin/golf" doctor
    "$bin/golf" doctor --json | python3 -c '
import json, re, sys
rows = [row for row in json.load(sys.stdin)["devices"] if row["device"] == sys.argv[1]]
print(re.sub(r"[^a-z0-9]+", "-", rows[0]["name"].lower()).strip("-")) if rows else sys.exit(f"no device {sys.argv[1]}")
' "$device" >"$work/name.part"
    mv "$work/name.part" "$work/name"
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
    run_test golf-tests conformance every_backend a_bank
    run_test golf-tests devices
    run_test golf-tests cuda of_bf16
}

step_goldens() {
    local precision
    for precision in f32 bf16; do
        "$bin/golf" selftest --golden "$golden" --device "$device" --precision "$precision"
    done
}

# A shard of $1 tokens that repeat with a long period, in a folder of its own.
write_shard() {
    mkdir -p "$work/shards"
    python3 - "$work/shards/t_train_000000.bin" "$1" <<'PYTHON'
import struct, sys
tokens = [(i * i // 5 + i) % 64 for i in range(int(sys.argv[2]))]
with open(sys.argv[1], "wb") as shard:
    shard.write(struct.pack("<256i", 20240520, 1, len(tokens), *[0] * 253) + struct.pack(f"<{len(tokens)}H", *tokens))
PYTHON
}

step_bits() {
    local run
    run_test golf-tests cuda two_
    # At the size of a real step too: losses and norms of all gradients, to the last digit.
    write_shard $((2 * step_rows * window + 1))
    for run in a b; do
        "$bin/golf-train" --preset "$preset" --data "$work/shards" --out "$work/bits-$run" --device "$device" --precision bf16 --quiet \
            --iterations 4 --max-wallclock-seconds 0 --checkpoint-every never --set method=nearest --set val_loss_every=0 \
            --set "train_seq_len=$window" --set "train_batch_tokens=$((step_rows * window))" --set grad_accum_steps=1 \
            --set "micro_batch_rows=${micro_rows:-$step_rows}"
    done
    python3 - "$work/bits-a/metrics.jsonl" "$work/bits-b/metrics.jsonl" <<'PYTHON'
import json, sys
def steps(path):
    events = map(json.loads, open(path))
    return [(event["loss"], event["grad_norm"]) for event in events if event["event"] == "step"]
first, second = map(steps, sys.argv[1:])
print("losses and norms of gradients:", first)
if first != second:
    sys.exit(f"the second run has others: {second}")
PYTHON
}

step_resume() {
    local precision run
    write_shard 20000
    for precision in f32 bf16; do
        run=("$bin/golf-train" --preset nano --data "$work/shards" --device "$device" --precision "$precision" --quiet
            --iterations 20 --max-wallclock-seconds 0)
        "${run[@]}" --out "$work/$precision-a" --checkpoint-every 10 --set checkpoint_keep=9
        "${run[@]}" --out "$work/$precision-b"
        "${run[@]}" --out "$work/$precision-c" --resume "$work/$precision-a/checkpoint-00000010.safetensors"
        cmp "$work/$precision-a/artifact.bin" "$work/$precision-b/artifact.bin"
        cmp "$work/$precision-a/artifact.bin" "$work/$precision-c/artifact.bin"
        printf '%s: one run, another and a resumed one end in the same bytes\n' "$precision"
    done
}

# One sanitizer over one command.
sanitize() {
    local tool="$1" code=0
    shift
    timeout --kill-after=10 "$sanitizer_seconds" compute-sanitizer --tool "$tool" --error-exitcode 9 "$@" >"$work/sanitized" 2>&1 || code=$?
    case "$code" in
        0) printf '%s finds nothing: %s\n' "$tool" "$*" ;;
        124 | 137) skip "$tool did not end in $sanitizer_seconds s: $*" ;;
        *)
            tail -n 60 "$work/sanitized"
            printf '%s ended with %d: %s\n' "$tool" "$code" "$*"
            found=1
            ;;
    esac
}

step_sanitizer() {
    local tool found='' gradient
    if ! command -v compute-sanitizer >/dev/null; then
        skip "no compute-sanitizer"
        return
    fi
    # Small, with heads of 64 channels: what takes tensor cores, and Hopper's own products where there are any.
    gradient=("$bin/golf" plan trace baseline --phase gradient --rows 1 --window 256 --repeat 1 --device "$device" --precision bf16)
    sanitize memcheck "${gradient[@]}"
    # Hopper's products write and read shared memory in an order that racecheck does not follow; and what NVIDIA's library reads
    # is not ours to judge, so initcheck is for the fixtures, which are in f32.
    GOLF_WGMMA=off sanitize racecheck "${gradient[@]}"
    for tool in memcheck racecheck initcheck; do
        sanitize "$tool" "$bin/golf" selftest --golden tests/goldens --device "$device"
    done
    [ -z "$found" ]
}
