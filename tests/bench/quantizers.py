#!/usr/bin/env python3
"""Bytes and held-out bits per byte of every quantizer, width and rounding under every codec: the same evaluation for all.

Trains two models of the `tiny` preset on the first part of a text (one never sees a grid, the other sees the 5-bit grid during the
last half of its decay), quantizes both and any artifact named with --artifact, and scores what was written on the text's last part.
Calibration text is the model's own or training text, never held-out text. Prints JSON; --md writes the table.

    cargo build --release
    python3 tests/bench/quantizers.py --text corpus.txt --work local/quantizers --md table.md > result.json

--artifact NAME=FILE=HELD_OUT adds a model: FILE is any artifact, whose stored weights count as float. Such a model has no training
text here, so it needs --calib self.
"""
import argparse
import json
import lzma
import math
import pathlib
import subprocess
import sys
import zipfile
import zlib
from collections import Counter

PLAIN, AWARE = "float-trained", "int5-trained"
WIDTHS = ["int4", "int5", "int6", "int8"]
QUANTIZERS = ["max", "pct", "ratio", "sigma"]
# Forms of --quick, the most telling first.
QUICK = [("int5", "ratio", "nearest"), ("int5", "ratio", "gptq"), ("int4", "ratio", "nearest"), ("int4", "ratio", "gptq")]
QUICK += [("int5", "sigma", "nearest"), ("int5", "max", "nearest"), ("int4", "sigma", "nearest"), ("int6", "ratio", "nearest")]


def call(command, parse=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout) if parse else done.stdout


def train(args, name, settings):
    out = args.work / name
    if not (out / "artifact.bin").exists():
        command = [args.golf, "train", "--preset", "tiny", "--data", args.work / "first" / "shards", "--out", out, "--quiet"]
        common = [f"iterations={args.steps}", "max_wallclock_seconds=0", "warmdown_iters=0", "warmdown_fraction=0.6", "export=int5"]
        for setting in common + [f"vocab={args.vocab}"] + settings:
            command += ["--set", setting]
        call(command, parse=False)
    return next(iter(sorted(out.glob("checkpoint-*.safetensors"), reverse=True)))


def trained(args):
    """Two models of the same steps on the same text, and its held-out part."""
    first = args.work / "first"
    first.mkdir(parents=True, exist_ok=True)
    text = args.text.read_text(encoding="utf-8")
    cut = text.rfind("\n\n", 0, len(text) * 9 // 10)
    held_out = args.work / "held_out.txt"
    (first / "train.txt").write_text(text[:cut], encoding="utf-8")
    held_out.write_text(text[cut:].strip(), encoding="utf-8")
    if not (first / "artifact.bin").exists():
        # Tokenizer and shards; its two seconds of training are not used.
        call([args.golf, "first-run", "--text", first / "train.txt", "--out", first, "--seconds", 2, "--vocab", args.vocab], parse=False)
        (first / "artifact.bin").write_bytes((first / "run" / "artifact.bin").read_bytes())
    plain = train(args, PLAIN, ["qat=never"])
    aware = train(args, AWARE, ["qat=lr_scale", "qat_threshold=0.5", "qat_scope=stored"])
    return [(PLAIN, plain, held_out), (AWARE, aware, held_out)]


def codecs(args, artifact):
    """Sizes of the same integers, in the order of the torch file, under general codecs, and their order-0 entropy."""
    exported = args.work / "export.pt"
    call([args.golf, "export", artifact, "-o", exported], parse=False)
    with zipfile.ZipFile(exported) as file:
        parts = [file.read(name) for name in sorted(file.namelist()) if "/data/" in name]
    raw = b"".join(parts)
    entropy = 0.0
    for part in parts:
        counts = Counter(part)
        entropy += sum(n * math.log2(len(part) / n) for n in counts.values()) / 8
    return {"zlib9": len(zlib.compress(raw, 9)), "xz9e": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)), "order0": round(entropy)}


def score(args, artifact, held_out, targets):
    result = call([args.golf, "eval", artifact, "--text", held_out, "--targets", targets, "--json", "--quiet"])
    return result["val_bpb"]


def row(args, model, source, held_out, targets, form, quantizer, method, calib):
    out = args.work / "row.bin"
    command = [args.golf, "quantize", source, "-o", out, "--target-bytes", "1GB", "--json", "--quantizer", quantizer]
    command += ["--method", method, "--tensor", rf"\.weight$={form}", "--tensor", r"embed\.weight$|tok_emb=int8"]
    command += ["--calib", calib, "--calib-rows", args.rows]
    if form == "fp16":
        command += ["--tensor", ".=fp16"]
    if calib == "train":
        command += ["--calib-data", args.work / "first" / "train.txt"]
    if model in (PLAIN, AWARE):
        command += ["--tokenizer", args.work / "first" / "artifact.bin"]
    report = call(command)
    entry = {"model": model, "form": form, "quantizer": quantizer, "method": method, "calibration": calib}
    entry |= {"parameters": report["parameters"], "bytes": report["bytes"], "bpb": score(args, out, held_out, targets)}
    entry["codecs"] = codecs(args, out)
    print(json.dumps(entry), file=sys.stderr, flush=True)
    return entry


def table(rows):
    lines = ["| model | form | quantizer | rounding | calibration | golf, bytes | zlib-9 | xz-9e | order 0 | BPB | tax |", "|---" * 11 + "|"]
    base = {r["model"]: r["bpb"] for r in rows if r["form"] == "fp16"}
    for r in rows:
        c = r["codecs"]
        cells = [r["model"], r["form"], r["quantizer"], r["method"], r["calibration"], r["bytes"], c["zlib9"], c["xz9e"], c["order0"]]
        cells += [f"{r['bpb']:.4f}", f"{r['bpb'] - base[r['model']]:+.4f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golf", default="target/release/golf")
    parser.add_argument("--text", type=pathlib.Path, help="UTF-8 text to train on; its last tenth is held out")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("local/quantizers"))
    parser.add_argument("--steps", type=int, default=600, help="steps of the two models; 0 trains none")
    parser.add_argument("--calib", choices=["self", "train"], default="train", help="text that GPTQ is calibrated with")
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=64, help="rows of calibration text")
    parser.add_argument("--quick", action="store_true", help="eight forms of each model instead of all")
    parser.add_argument("--targets", type=int, default=32768)
    parser.add_argument("--artifact", action="append", default=[], metavar="NAME=FILE=HELD_OUT")
    parser.add_argument("--md", type=pathlib.Path)
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    rows = []
    models = [entry.split("=") for entry in args.artifact]
    if args.steps > 0:
        models = trained(args) + models
    for name, file, text in models:
        one = lambda *form: rows.append(row(args, name, file, text, args.targets, *form))
        one("fp16", "ratio", "nearest", "none")
        if args.quick:
            for width, quantizer, method in QUICK:
                one(width, quantizer, method, "none" if method == "nearest" else args.calib)
            continue
        for width in ["int5"] if name == AWARE else WIDTHS:
            for quantizer in QUANTIZERS:
                one(width, quantizer, "nearest", "none")
            for quantizer in ["ratio", "sigma"]:
                one(width, quantizer, "gptq", args.calib)
        one("int5", "ratio", "output_ratio", args.calib)
        one("int5", "ratio", "gptq_s585", args.calib)

    result = {"steps": args.steps, "targets": args.targets, "calibration_rows": args.rows, "rows": rows}
    result["note"] = "bytes: the whole artifact, tokenizer included; codecs: integers, steps and plain tensors alone"
    print(json.dumps(result, indent=1))
    if args.md:
        args.md.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
