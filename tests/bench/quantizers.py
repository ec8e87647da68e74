#!/usr/bin/env python3
"""Bytes and held-out bits per byte of every quantizer, width and rounding under every codec: the same evaluation for all.

Trains models of the `tiny` preset on the first nine tenths of a text, for every seed one that never sees a grid (`float`) and two that
see the 5-bit grid once the rate has decayed to 0.9 of its height: rounded to nearest (`int5`), and softly (`int5-soft`). Quantizes
them and any model named with --artifact, and scores what was written on the text's last tenth. The `s585-` models are the same on
the coarser grid of PR #585, whose tax at 5 bits is 0.022 (float to artifact), and are scored as training exported them, with sound
GPTQ. A difference is that to the same seed's `float` in half precision, on the same targets, with its standard error over chunks of
them. Calibration text is the model's own or training text, never held-out text. Prints JSON; --md writes the tables.

    cargo build --release
    python3 tests/bench/quantizers.py --text corpus.txt --seeds 1 2 --set dim=192 --set hidden=576 --md table.md > result.json

--artifact NAME=FILE=HELD_OUT adds a model: FILE is any artifact, whose stored weights count as float. Such a model has no training
text here, so it is calibrated with its own. Trainings and rows that --work already holds are not repeated; --jobs models are made and
measured at once.
"""
import argparse
import concurrent.futures
import hashlib
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys

OWN_GRID, LATE, NEVER, SOFT = ["export=int5", "qat_scope=stored"], ["qat=lr_scale", "qat_threshold=0.9"], ["qat=never"], ["qat_rounding=soft"]
S585 = ["export=s585", "qat_scope=system", "passthrough_max_elements=4096", "method=gptq", "calibration_rows=64"]
KINDS = {"float": OWN_GRID + NEVER, "int5": OWN_GRID + LATE, "int5-soft": OWN_GRID + LATE + SOFT}
KINDS |= {"s585-float": S585 + NEVER, "s585-int5": S585 + LATE, "s585-soft": S585 + LATE + SOFT}
BASE = ("fp16", "ratio", "nearest")
# A form that is a number of bytes.
WITHIN = "within "
# What a seed after the first, and a model trained on the grid, are measured with: the tax at 5 bits.
TAX = [("int5", quantizer, method) for quantizer in ["max", "ratio", "sigma", "uniform"] for method in ["nearest", "gptq"]]
TAX += [("int5", "sigma", "trellis"), ("int5", "uniform", "trellis")]
# What training wrote itself.
EXPORTED = [("as exported", "s585", "gptq")]
GRIDS = ["max", "pct", "ratio", "sigma", "uniform"]
FULL = [(width, quantizer, "nearest") for width in ["int4", "int5", "int6", "int8"] for quantizer in GRIDS]
FULL += [(width, quantizer, "gptq") for width in ["int4", "int5", "int6"] for quantizer in GRIDS if quantizer != "pct"]
FULL += [("int5", "ratio", "output_ratio"), ("int5", "ratio", "gptq_s585"), ("int5", "sigma", "trellis"), ("int5", "uniform", "trellis")]


def call(command, parse=True):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout) if parse else done.stdout


def split(args):
    """Tokenizer and shards of the text's first nine tenths; the path of the last tenth."""
    first, held_out = args.work / "first", args.work / "held_out.txt"
    if not (first / "artifact.bin").exists():
        first.mkdir(parents=True, exist_ok=True)
        text = args.text.read_text(encoding="utf-8")
        cut = text.rfind("\n\n", 0, len(text) * 9 // 10)
        (first / "train.txt").write_text(text[:cut], encoding="utf-8")
        held_out.write_text(text[cut:].strip(), encoding="utf-8")
        # Its two seconds of training are not used.
        call([args.golf, "first-run", "--text", first / "train.txt", "--out", first, "--seconds", 2, "--vocab", args.vocab], parse=False)
        (first / "artifact.bin").write_bytes((first / "run" / "artifact.bin").read_bytes())
    return held_out


def train(args, kind, seed):
    """The last checkpoint of a run."""
    out = args.work / f"{kind}-{seed}"
    if not (out / "artifact.bin").exists():
        command = [args.golf, "train", "--preset", "tiny", "--data", args.work / "first" / "shards", "--out", out, "--quiet"]
        command += ["--threads", max(1, (os.cpu_count() or 1) // args.jobs)]
        common = [f"seed={seed}", f"iterations={args.steps}", "max_wallclock_seconds=0", "warmdown_iters=0", "warmdown_fraction=0.5"]
        for setting in common + [f"vocab={args.vocab}"] + args.set + KINDS[kind]:
            command += ["--set", setting]
        call(command, parse=False)
    return max(out.glob("checkpoint-*.safetensors"))


def chunks(args, artifact, held_out):
    """Nats and bytes of every chunk of held-out text."""
    receipt = artifact.with_suffix(".json")
    command = [args.golf, "eval", artifact, "--text", held_out, "--targets", args.targets, "--ttt-chunk", args.chunk]
    call(command + ["--receipt", receipt, "--json", "--quiet"])
    return [(chunk["nll"], chunk["bytes"]) for chunk in json.loads(receipt.read_text())["chunks"]]


def bpb(scored):
    return sum(nll for nll, _ in scored) / math.log(2) / sum(size for _, size in scored)


def difference(scored, base):
    """Bits per byte above `base`, and the standard error of that over chunks."""
    differences = [one - other for (one, _), (other, _) in zip(scored, base, strict=True)]
    unit = math.log(2) * sum(size for _, size in base)
    error = math.sqrt(len(differences)) * statistics.stdev(differences) if len(differences) > 1 else math.nan
    return sum(differences) / unit, error / unit


def quantized(args, model, form, calib, out):
    width, quantizer, method = form
    command = [args.golf, "quantize", model["source"], "-o", out, "--json", "--quantizer", quantizer, "--method", method]
    command += ["--calib", calib, "--calib-rows", args.rows]
    if width.startswith(WITHIN):
        # The planner chooses the width of every tensor.
        command += ["--target-bytes", width.removeprefix(WITHIN)]
    else:
        command += ["--target-bytes", "1GB", "--tensor", rf"\.weight$={width}", "--tensor", r"embed\.weight$|tok_emb=int8"]
    if width.startswith("fp"):
        command += ["--tensor", f".={width}"]
    if calib == "train":
        command += ["--calib-data", args.work / "first" / "train.txt"]
    if model["trained"]:
        command += ["--tokenizer", args.work / "first" / "artifact.bin"]
    return call(command)


def measure(args, model, form):
    """One form of one model: bytes, chunks, and the bytes of its integers under every codec."""
    (width, quantizer, method), source = form, model["source"]
    identity = json.dumps([str(source), model["held_out"].name, form, args.rows, args.targets, args.chunk, args.codecs])
    cache = args.work / "rows" / (hashlib.sha256(identity.encode()).hexdigest()[:24] + ".json")
    if cache.exists():
        return json.loads(cache.read_text())
    cache.parent.mkdir(exist_ok=True)
    out = args.work / f"{model['name']}-{model['seed']}.bin"
    calib = "none" if method == "nearest" else model["calib"]
    exported = source.parent / "artifact.bin"
    if form in EXPORTED:
        # The same values in single precision, with the tokenizer that the run's own file lacks.
        report = quantized(args, model | {"source": exported}, ("fp32", "ratio", "nearest"), "none", out)
        report["bytes"] = exported.stat().st_size
    else:
        report = quantized(args, model, form, calib, out)
    row = {"model": model["name"], "seed": model["seed"], "form": width, "quantizer": quantizer, "method": method}
    row |= {"calibration": calib, "parameters": report["parameters"], "bytes": report["bytes"]}
    row["chunks"] = chunks(args, out, model["held_out"])
    row["codecs"] = {}
    if args.codecs and form != BASE:
        integers = exported if form in EXPORTED else out
        streams = call([args.golf, "bench", "codecs", integers, "-o", "json"])["files"][0]
        row["codecs"] = {codec["codec"]: codec["bytes"] for codec in streams["rows"] if codec["equal"]}
        row["codecs"]["order 0"] = round(streams["entropy_bits"] * streams["weights"] / 8)
    cache.write_text(json.dumps(row))
    print(f"{row['model']}-{row['seed']} {form} {row['bytes']} {bpb(row['chunks']):.4f}", file=sys.stderr, flush=True)
    return row


def models(args):
    held_out = split(args) if args.seeds else None
    for seed in args.seeds:
        for kind in args.kinds:
            forms = FULL if kind == "float" and seed == args.seeds[0] and not args.quick else TAX
            forms = EXPORTED if kind.startswith("s585") else [BASE, *forms]
            forms = forms + budgets(args) if kind == "float" else forms
            model = {"name": kind, "seed": seed, "source": None, "held_out": held_out, "trained": True}
            yield model | {"calib": args.calib, "forms": forms}
    for name, file, text in (entry.split("=") for entry in args.artifact):
        model = {"name": name, "seed": 0, "source": pathlib.Path(file), "held_out": pathlib.Path(text), "trained": False}
        yield model | {"calib": "self", "forms": [BASE, *(TAX if args.quick else FULL)]}


def budgets(args):
    return [(WITHIN + budget, family, "gptq") for budget in args.budgets for family in ["ratio", "sigma", "uniform", "auto"]]


def measure_all(args, model):
    """The rows of a model, which is trained first where it is ours."""
    source = train(args, model["name"], model["seed"]) if model["trained"] else model["source"]
    return [measure(args, model | {"source": source}, form) for form in model["forms"]]


CODECS = ["zlib -9", "zstd -22", "xz -9e", "brotli -11", "mixer", "order 0"]


def tables(rows):
    codecs = [codec for codec in CODECS if any(codec in r["codecs"] for r in rows)]
    header = ["model", "seed", "form", "quantizer", "rounding", "file, bytes", *codecs, "BPB", "difference", "± s.e."]
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for r in rows:
        cells = [r["model"], r["seed"] or "", r["form"], r["quantizer"], r["method"], r["bytes"]]
        cells += [r["codecs"].get(codec, "") for codec in codecs]
        cells += [f"{r['bpb']:.4f}", f"{r['difference']:+.4f}", f"{r['error']:.4f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "Over seeds, at 5 bits (difference to `float` in half precision, mean and every seed):", ""]
    lines += ["| model | quantizer | rounding | mean | seeds | file, bits a parameter |", "|---|---|---|---|---|---|"]
    shared = {(r["model"], r["form"], r["quantizer"], r["method"]) for r in rows if r["seed"]}
    for model, form, quantizer, method in sorted(s for s in shared if s[1:] == BASE or s[1:] in TAX + EXPORTED):
        own = [r for r in rows if r["seed"] and (r["model"], r["form"], r["quantizer"], r["method"]) == (model, form, quantizer, method)]
        mean = statistics.mean(r["difference"] for r in own)
        each = ", ".join(f"{r['difference']:+.4f}" for r in own)
        bits = statistics.mean(8 * r["bytes"] / r["parameters"] for r in own)
        name = form if form == "fp16" else quantizer
        lines.append(f"| {model} | {name} | {method} | {mean:+.4f} | {each} | {bits:.3f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golf", default="target/release/golf")
    parser.add_argument("--text", type=pathlib.Path, help="UTF-8 text to train on; its last tenth is held out")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("local/quantizers"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="models to train; none without")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of the trainings")
    parser.add_argument("--calib", choices=["self", "train"], default="train", help="text that GPTQ is calibrated with")
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=64, help="rows of calibration text")
    parser.add_argument("--quick", action="store_true", help="the forms of the tax alone for every model")
    parser.add_argument("--budgets", nargs="*", default=[], help="sizes of files in which the planner has its way, such as 950kB")
    parser.add_argument("--no-codecs", dest="codecs", action="store_false", help="leave the other codecs out")
    parser.add_argument("--targets", type=int, default=65536)
    parser.add_argument("--chunk", type=int, default=2048, help="targets of a chunk")
    parser.add_argument("--jobs", type=int, default=1, help="models at once")
    parser.add_argument("--artifact", action="append", default=[], metavar="NAME=FILE=HELD_OUT")
    parser.add_argument("--md", type=pathlib.Path)
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    rows, bases, every = [], {}, list(models(args))
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        measured = list(pool.map(lambda model: measure_all(args, model), every))
    for model, own in zip(every, measured, strict=True):
        for row in map(dict, own):
            scored = row.pop("chunks")
            base = bases.setdefault(model["seed"] if model["trained"] else model["name"], scored)
            row["bpb"] = bpb(scored)
            row["difference"], row["error"] = difference(scored, base)
            rows.append(row)

    # Names of files, not where they lie on this machine.
    command = [re.sub(r"[^=]*/", "", argument) for argument in sys.argv[1:]]
    result = {"command": command, "steps": args.steps, "targets": args.targets, "chunk": args.chunk}
    result |= {"calibration_rows": args.rows, "rows": rows}
    result["note"] = "bytes: the whole file, tokenizer included; codecs: the integers alone, by rows or columns, whichever is smaller"
    print(json.dumps(result, indent=1))
    if args.md:
        args.md.write_text(tables(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
