# shellcheck shell=bash disable=SC2154
# Steps of device-check.sh that take times. To be sourced by it, whose variables they use.

# Times golf against the peer, or alone where there is none, every preset by itself: one that fails leaves the others' results.
versus() {
    local what="$1" file command model failures=()
    shift
    command=(python3 tests/bench/cuda_vs_torch.py --what "$what" --golf "$bin/golf" --device "$device" --seq "$window" "$@")
    if [ -z "$peer" ]; then
        skip "no PyTorch peer for \`$what\` (--peer): golf alone"
    elif ! "$python" -c 'import torch' 2>/dev/null; then
        skip "\`$python\` has no torch (--python): golf alone in \`$what\`"
    else
        command+=(--peer "$peer" --python "$python" ${peer_device:+--peer-device "$peer_device"})
    fi
    for model in ${models//,/ }; do
        file="$(result "$what-$model")"
        # One side's times are written even where the other fails.
        "${command[@]}" --presets "$model" >"$file.part" || failures+=("$model")
        if [ -s "$file.part" ]; then
            mv "$file.part" "$file"
            figures "$file"
        else
            rm -f "$file.part"
        fi
    done
    [ "${#failures[@]}" = 0 ] || { printf 'failed: %s\n' "${failures[*]}"; return 1; }
}

step_peer() { versus step --rows "$step_rows" --steps "$steps" ${micro_rows:+--micro-batch-rows "$micro_rows"}; }

step_ttt() { versus ttt --rows "$rows" --steps "$chunks"; }

# Runs and prints one measurement, a command that takes a device and prints JSON; one that fails leaves the others' results.
timed() {
    local file
    file="$(result "$1")"
    shift
    if save "$file" "$@" --device "$device" -o json; then figures "$file"; else failures+=("${file##*/}"); fi
}

step_speed() {
    local model precision phase failures=()
    for model in ${models//,/ }; do
        # Where the time of a step of training goes, with the rows of one.
        for phase in gradient gradient-fake-quant update average; do
            timed "$model-bf16-$phase-by-op" "$bin/golf" plan trace "$model" --phase "$phase" --rows "${micro_rows:-$step_rows}" \
                --window "$window" --precision bf16
        done
    done
    timed kernels-bf16 "$bin/golf" bench kernels --sizes "$kernel_sizes" --precision bf16
    # Attention without Hopper's own products, to compare.
    GOLF_WGMMA=off timed kernels-bf16-warps "$bin/golf" bench kernels --sizes "$kernel_sizes" --precision bf16
    for precision in bf16 f32; do
        for model in ${models//,/ }; do
            timed "$model-$precision" "$bin/golf" bench --model "$model" --rows "$rows" --window "$window" --precision "$precision"
        done
    done
    timed kernels-f32 "$bin/golf" bench kernels --sizes "$kernel_sizes" --precision f32
    [ "${#failures[@]}" = 0 ] || { printf 'failed: %s\n' "${failures[*]}"; return 1; }
}
