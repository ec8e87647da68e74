#!/usr/bin/env python3
"""Time golf against a PyTorch peer on one GPU, alternating in one run (A B B A), and print JSON.

`--what step`: a training step is forward, backward, clipping, AdamW, Muon and the average of the weights, on random tokens. golf's
steps are those of a real run of `golf-train`, from its `metrics.jsonl`; the peer is a script that takes `--config --rows --seq
--steps --warmup` and prints one JSON object with `ms_per_step_median`, `model_tflop_per_step`, `peak_tflops` and `torch`. MFU is
the peer's count of FLOPs over the time and the device's peak, for both.

`--what ttt`: a chunk of score-first test-time training is one scoring and some epochs of forward, backward and SGD with momentum over
all parameters; golf's are those of `golf bench`, the peer's those of `torch_ttt.py` over the same script.

Memory is what `nvidia-smi` sees in use on the device at most during a program's runs, less what was in use before it; with it goes
what golf's plans say that they take. Without `--peer`, and for a preset that the peer does not have, golf is timed alone. A program
that fails is named in the result, whose other times stand, and in the exit code.

    cargo build --release
    python3 tests/bench/cuda_vs_torch.py --peer torch_speed.py --python python-with-torch/bin/python > result.json
"""
import argparse
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading

# golf's presets, and what the peer calls the same model.
CONFIGS = {"baseline": "baseline", "pr549": "p549", "pr585": "s585"}
VOCAB = 1024
HERE = os.path.dirname(os.path.abspath(__file__))


class CallFailed(Exception):
    """A program that ended with an error, and what it said."""


def call(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise CallFailed(f"`{' '.join(map(str, command))}` failed with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


class Memory:
    """Most memory of a device in use while it is watched, in MiB, less what was in use before; `None` where nobody tells."""

    def __init__(self, device):
        number = device.partition(":")[2] or "0"
        self.command = ["nvidia-smi", f"--id={number}", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        self.ended = threading.Event()
        self.most = None

    def used(self):
        done = subprocess.run(self.command, capture_output=True, text=True)
        return int(done.stdout) if done.returncode == 0 else 0

    def watch(self):
        while not self.ended.wait(0.2):
            self.seen = max(self.seen, self.used())

    def __enter__(self):
        self.thread = None
        if shutil.which("nvidia-smi"):
            self.before = self.seen = self.used()
            self.thread = threading.Thread(target=self.watch)
            self.thread.start()
        return self

    def __exit__(self, *_):
        if self.thread:
            self.ended.set()
            self.thread.join()
            self.most = self.seen - self.before


def write_shard(path, tokens):
    """Random tokens in the challenge's format: 256 words of header, then 16-bit ids."""
    drawn = random.Random(0)
    with open(path, "wb") as shard:
        shard.write(struct.pack("<256i", 20240520, 1, tokens, *[0] * 253))
        shard.write(struct.pack(f"<{tokens}H", *(drawn.randrange(VOCAB) for _ in range(tokens))))


def golf_step(args, preset, folder):
    out = tempfile.mkdtemp(dir=folder)
    settings = {
        "train_batch_tokens": args.rows * args.seq,
        "train_seq_len": args.seq,
        "vocab": VOCAB,
        "grad_accum_steps": 1,
        "micro_batch_rows": args.micro_batch_rows or args.rows,
        # Speed only: nothing changes on the way, and the end is quick.
        "qat": "never",
        "method": "nearest",
        "val_loss_every": 0,
    }
    command = [f"{args.golf}-train", "--preset", preset, "--data", os.path.join(folder, "data"), "--out", out, "--device", args.device]
    command += ["--precision", args.precision, "--iterations", args.warmup + args.steps]
    command += ["--max-wallclock-seconds", 0, "--checkpoint-every", "never", "--quiet"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    call(command)
    with open(os.path.join(out, "metrics.jsonl")) as lines:
        events = [json.loads(line) for line in lines]
    ends = [event["train_ms"] for event in events if event["event"] == "step"]
    backend = next(event["backend"] for event in events if event["event"] == "start")
    warnings = [event["message"] for event in events if event["event"] == "warning"]
    # The first of these ends is where the timed steps begin.
    times = [after - before for before, after in zip(ends[args.warmup - 1 :], ends[args.warmup :])]
    return {"ms": statistics.median(times), "ms_min": min(times), "ms_max": max(times), "backend": backend, "warnings": warnings}


def peer_step(args, preset):
    command = [args.python, args.peer, "--config", CONFIGS[preset], "--rows", args.rows, "--seq", args.seq]
    command += ["--steps", args.steps, "--warmup", args.warmup] + (["--device", args.peer_device] if args.peer_device else [])
    sample = json.loads(call(command))
    return {"ms": sample["ms_per_step_median"], **sample}


def golf_ttt(args, preset, _folder):
    command = [args.golf, "bench", "--model", preset, "--rows", args.rows, "--window", args.seq, "--tests", "pp,ttt"]
    command += ["--repeat", args.steps, "--device", args.device, "--precision", args.precision, "-o", "json"]
    score, epoch = json.loads(call(command))
    score_ms, epoch_ms = (1000 * args.rows * args.seq / row["tokens_per_s"] for row in (score, epoch))
    ms = score_ms + args.epochs * epoch_ms
    return {"ms": ms, "score_ms": score_ms, "epoch_ms": epoch_ms, "backend": score["backend"]}


def peer_ttt(args, preset):
    command = [args.python, os.path.join(HERE, "torch_ttt.py"), "--peer", args.peer, "--config", CONFIGS[preset], "--rows", args.rows]
    command += ["--seq", args.seq, "--chunks", args.steps, "--warmup", args.warmup, "--epochs", args.epochs]
    return json.loads(call(command + (["--device", args.peer_device] if args.peer_device else [])))


def planned_bytes(args, preset):
    """What the plans of golf's training take, as they say themselves."""
    rows = args.micro_batch_rows or args.rows
    command = [args.golf, "plan", "show", "--preset", preset, "--device", args.device, "--precision", args.precision]
    return json.loads(call(command + ["--rows", rows, "--window", args.seq, "--json"]))["peak_bytes"]


def summary(runs, tokens, mfu):
    ms = statistics.median(sample["ms"] for sample in runs)
    memory = [sample["memory_mib"] for sample in runs if sample["memory_mib"] is not None]
    return {"ms": round(ms, 3), "tokens_per_s": round(tokens / ms * 1000), "mfu": mfu(ms), "memory_mib": max(memory, default=None), "runs": runs}


def compare(args, preset, folder):
    of_golf, of_peer = (golf_step, peer_step) if args.what == "step" else (golf_ttt, peer_ttt)
    has_peer = args.peer and preset in CONFIGS
    runs, errors = {"golf": [], "peer": []}, {}
    for turn in ("ABBA" if has_peer else "AA") * args.rounds:
        who = {"A": "golf", "B": "peer"}[turn]
        if who in errors:
            continue
        try:
            with Memory(args.device) as memory:
                sample = of_golf(args, preset, folder) if who == "golf" else of_peer(args, preset)
        except CallFailed as error:
            # What the other does is worth knowing all the same.
            print(f"error: {preset}, {who}: {error}", file=sys.stderr)
            errors[who] = str(error)
            continue
        runs[who].append({**sample, "memory_mib": memory.most})
    tokens, counted = args.rows * args.seq, next(iter(runs["peer"]), {})
    tflop, peak = counted.get("model_tflop_per_step"), counted.get("peak_tflops")
    mfu = lambda ms: round(tflop / (ms / 1000) / peak, 4) if tflop and peak else None
    result = {"preset": preset, **{who: summary(samples, tokens, mfu) for who, samples in runs.items() if samples}}
    result.update({f"{who}_error": error for who, error in errors.items()})
    if args.what == "step" and "golf" in result:
        result["golf"]["planned_bytes"] = planned_bytes(args, preset)
    if "golf" in result and "peer" in result:
        result["time_ratio_golf_to_peer"] = round(result["golf"]["ms"] / result["peer"]["ms"], 4)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golf", default="target/release/golf", help="the program `golf`, with `golf-train` beside it")
    parser.add_argument("--peer", help="path of the peer's script")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--what", default="step", choices=["step", "ttt"])
    parser.add_argument("--presets", default=",".join(CONFIGS), help="comma-separated")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--peer-device", help="the peer's name for the device, where it is not its default")
    parser.add_argument("--precision", default="bf16", choices=["f32", "bf16"])
    parser.add_argument("--rows", type=int, help="windows of a step (48) or of a chunk (16)")
    parser.add_argument("--seq", type=int, default=2048)
    parser.add_argument("--micro-batch-rows", type=int, default=0, help="rows of golf's training at a time (default: all)")
    parser.add_argument("--steps", type=int, help="timed steps (30) or chunks (64)")
    parser.add_argument("--warmup", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3, help="passes over a chunk")
    parser.add_argument("--rounds", type=int, default=1, help="A B B A rounds per preset")
    args = parser.parse_args()
    args.rows = args.rows or {"step": 48, "ttt": 16}[args.what]
    args.steps = args.steps or {"step": 30, "ttt": 64}[args.what]
    if args.warmup < 1 or args.steps < 1:
        parser.error("expected at least one step of each kind")
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "data"))
        write_shard(os.path.join(folder, "data", "random_train_000000.bin"), 4 * args.rows * args.seq + 1)
        results = [compare(args, preset, folder) for preset in args.presets.split(",")]
    settings = {key: getattr(args, key) for key in ("what", "device", "precision", "rows", "seq", "steps", "warmup", "epochs", "rounds")}
    print(json.dumps({**settings, "results": results}, indent=1))
    if any(key.endswith("_error") for result in results for key in result):
        sys.exit(1)


if __name__ == "__main__":
    main()
