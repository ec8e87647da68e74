# shellcheck shell=bash disable=SC2154
# What device-check.sh --pack does. To be sourced by it, whose variables it uses.

# Builds everything into a folder that needs no cargo afterwards, beside it the files that options name, and makes an archive of it.
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
    if command -v strip >/dev/null; then strip "$folder"/golf "$folder"/golf-train "$folder"/golf-eval "$folder"/tests/*; fi
    if find_nvrtc; then
        "$folder/golf" kernels --arch sm_80 --arch sm_90 --out "$folder/kernels" | tail -1
    else
        printf 'no NVRTC here: kernels are not packed, and the other machine needs it\n'
    fi
    mkdir -p "$folder/files"
    for file in "$golden" "$peer" "$text" "$tokenizer" "${scored[@]}"; do
        # The project's own are there anyway.
        if [ -e "$file" ] && [ "$file" != tests/goldens ]; then cp -r "$file" "$folder/files/"; fi
    done
    # Programs are much alike, and a large window sees it.
    python3 - "$folder" <<'PYTHON'
import lzma, os, sys, tarfile
folder = sys.argv[1].rstrip("/")
filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 96 << 20}]
with lzma.open(folder + ".tar.xz", "wb", filters=filters) as out, tarfile.open(fileobj=out, mode="w") as archive:
    archive.add(folder, os.path.basename(folder))
PYTHON
    du -sm "$folder"/* "$folder"/*/* | sort -rn | head -n 30
    ls -l "$folder.tar.xz"
    printf 'copy the archive and the project there, unpack it (python3 -m tarfile -e FILE), and set GOLF_BIN_DIR\n'
}
