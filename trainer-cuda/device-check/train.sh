# shellcheck shell=bash disable=SC2154
# Steps of device-check.sh that train a model and score it. To be sourced by it, whose variables they use.

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
    "$bin/golf" data tokenize "$work/text.txt" --tokenizer "$tokenizer" --held-out "one-in:$held_out" --out "$keep/tokens"
    rm "$work/text.txt"
}

# What one GPU does instead of eight within the same minutes. A published step is 786,432 tokens, and eight GPUs make about 7,100
# of them in 600 s; one GPU would make about 1,200, fewer than the 3,500 over which the rate decays, so it would decay from the
# first step on. With a sixth of the tokens, 131,072, one GPU makes about as many steps as eight did. The decay is the same part
# of the run, 3,500 of 7,100, whatever a step takes; the momentum's warm-up was 1,500 of 7,100 steps, 2.5 a second. 64 rows of
# 2,048 tokens are one take and one micro-batch. An artifact that came out too large is pruned down to the limit, which takes
# about ten compressions, some seconds each. What --set says comes last, and wins.
of_one_gpu() {
    local warmup=$((seconds * 5 / 2))
    printf '%s\n' train_batch_tokens=131072 grad_accum_steps=1 "micro_batch_rows=${micro_rows:-64}" warmdown_fraction=0.5 \
        "muon_momentum_warmup_steps=$((warmup > 0 ? warmup : 1))" target_bytes=16000000
}

step_train() {
    local last code=0 setting of_gpu=()
    if [ ! -d "$keep/tokens" ]; then
        skip "no tokens in \`$keep\` to train on (the step tokens)"
        return
    fi
    for setting in $(of_one_gpu); do of_gpu+=(--set "$setting"); done
    # One that was interrupted goes on.
    "$bin/golf-train" --preset "$preset" --data "$keep/tokens" --tokenizer "$tokenizer" --device "$device" --precision bf16 \
        --max-wallclock-seconds "$seconds" --resume auto --out "$keep/model" "${of_gpu[@]}" "${settings[@]}" || code=$?
    case "$code" in
        0) ;;
        # It is there, and only too large.
        4) skip "the artifact is above 16,000,000 bytes" ;;
        *) return "$code" ;;
    esac
    save "$(result "training-$preset")" figures --training "$keep/model"
    figures "$(result "training-$preset")"
    # The same weights in an artifact of floats.
    last="$(find "$keep/model" -name 'checkpoint-*.safetensors' | sort | tail -n 1)"
    "$bin/golf" quantize "$last" --out "$keep/raw.bin" --tensor '.*=fp32' --calib none --target-bytes 1GB \
        --tokenizer "$keep/model/artifact.bin"
}

step_score() {
    local file stem failures=()
    if [ ! -f "$keep/model/artifact.bin" ] || [ "${#scored[@]}" = 0 ]; then
        skip "no trained model in \`$keep\`, or no text to score (--score)"
        return
    fi
    for file in "${scored[@]}"; do
        stem="$(basename "${file%.*}")"
        score "$file" "score-$stem-off" "$keep/model/artifact.bin" --ttt off
        score "$file" "score-$stem-score-first" "$keep/model/artifact.bin" --ttt score-first
        if [ -f "$keep/raw.bin" ]; then score "$file" "score-$stem-raw" "$keep/raw.bin" --ttt off; fi
    done
    [ "${#failures[@]}" = 0 ] || { printf 'failed: %s\n' "${failures[*]}"; return 1; }
}

# Scores text $1 into result $2, and a receipt beside it, with model $3.
score() {
    local text="$1" what="$2" file model="$3"
    file="$(result "$what")"
    shift 3
    if save "$file" "$bin/golf-eval" "$model" --text "$text" --stride "$stride" --batch-tokens 65536 --device "$device" \
        --precision bf16 --json --quiet --receipt "$(result "receipt-$what")" "$@"; then
        figures "$file"
    else
        failures+=("$what")
    fi
}

step_report() {
    local beside=() file part
    if [ ! -f "$keep/model/metrics.jsonl" ]; then
        skip "no training in \`$keep\` to report on (the step train)"
        return
    fi
    file="$(result receipt-score)"
    for file in "${file%.json}"-*.json; do
        if [ -f "$file" ]; then beside+=(--receipt "$file"); fi
    done
    for part in gradient gradient-fake-quant update average; do
        file="$(result "$preset-bf16-$part-by-op")"
        if [ -f "$file" ]; then beside+=(--trace "$file"); fi
    done
    "$bin/golf" report "$keep/model" "${beside[@]}"
    for part in report.md loss.svg metrics.jsonl; do cp "$keep/model/$part" "$(result "training-$part")"; done
}
