#!/usr/bin/env python3
"""Time golf's training step against a PyTorch peer on one GPU, alternating in one run (A B B A), and print JSON.

A step is forward, backward, clipping, AdamW, Muon and the average of the weights, on random tokens. golf's steps are those of a
real run of `golf-train`, from its `metrics.jsonl`; the peer is a script that takes `--config --rows --seq --steps --warmup` and
prints one JSON object with `ms_per_step_median`, `model_tflop_per_step`, `peak_tflops` and `torch`. MFU is the peer's count of FLOPs
over the time and the device's peak, for both.

    cargo build --release
    python3 tests/bench/cuda_vs_torch.py --peer torch_speed.py --python python-with-torch/bin/python > result.json
"""
import argparse
import json
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile

# golf's presets, and what the peer calls the same model.
CONFIGS = {"baseline": "baseline", "pr549": "p549", "pr585": "s585"}
VOCAB = 1024


def call(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed with {done.returncode}:\n{done.stderr}")
    return done


def write_shard(path, tokens):
    """Random tokens in the challenge's format: 256 words of header, then 16-bit ids."""
    drawn = random.Random(0)
    with open(path, "wb") as shard:
        shard.write(struct.pack("<256i", 20240520, 1, tokens, *[0] * 253))
        shard.write(struct.pack(f"<{tokens}H", *(drawn.randrange(VOCAB) for _ in range(tokens))))


def run_golf(args, preset, folder):
    out = tempfile.mkdtemp(dir=folder)
    settings = {
        "train_batch_tokens": args.rows * args.seq,
        "train_seq_len": args.seq,
        "grad_accum_steps": 1,
        "micro_batch_rows": args.micro_batch_rows or args.rows,
        # Speed only: nothing changes on the way, and the end is quick.
        "qat": "never",
        "method": "nearest",
        "val_loss_every": 0,
    }
    command = [args.golf, "--preset", preset, "--data", os.path.join(folder, "data"), "--out", out, "--device", args.device]
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
    return {"ms": statistics.median(times), "ms_min": min(times), "ms_max": max(times)}, backend, warnings


def run_peer(args, preset):
    command = [args.python, args.peer, "--config", CONFIGS[preset], "--rows", args.rows, "--seq", args.seq]
    command += ["--steps", args.steps, "--warmup", args.warmup] + (["--device", args.peer_device] if args.peer_device else [])
    return json.loads(call(command).stdout)


def compare(args, preset, folder):
    golf, peer, backend, warnings = [], [], None, []
    for who in "ABBA" * args.rounds:
        if who == "A":
            sample, backend, warnings = run_golf(args, preset, folder)
            golf.append(sample)
        else:
            peer.append(run_peer(args, preset))
    ours = statistics.median(sample["ms"] for sample in golf)
    theirs = statistics.median(sample["ms_per_step_median"] for sample in peer)
    tflop, peak, tokens = peer[-1]["model_tflop_per_step"], peer[-1]["peak_tflops"], args.rows * args.seq
    mfu = lambda ms: round(tflop / (ms / 1000) / peak, 4) if peak else None
    return {
        "preset": preset,
        "golf": {"backend": backend, "warnings": warnings, "runs": golf, "ms": round(ours, 3), "tokens_per_s": round(tokens / ours * 1000), "mfu": mfu(ours)},
        "peer": {"torch": peer[-1].get("torch"), "runs": peer, "ms": round(theirs, 3), "tokens_per_s": round(tokens / theirs * 1000), "mfu": mfu(theirs)},
        "time_ratio_golf_to_peer": round(ours / theirs, 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golf", default="target/release/golf-train")
    parser.add_argument("--peer", required=True, help="path of the peer's script")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--presets", default=",".join(CONFIGS), help="comma-separated")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--peer-device", help="the peer's name for the device, where it is not its default")
    parser.add_argument("--precision", default="bf16", choices=["f32", "bf16"])
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--seq", type=int, default=2048)
    parser.add_argument("--micro-batch-rows", type=int, default=0, help="rows of golf at a time (default: all)")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1, help="A B B A rounds per preset")
    args = parser.parse_args()
    unknown = [preset for preset in args.presets.split(",") if preset not in CONFIGS]
    if unknown or args.warmup < 1 or args.steps < 1:
        parser.error(f"no peer for {unknown}: expected some of {list(CONFIGS)}" if unknown else "expected at least one step of each kind")
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "data"))
        write_shard(os.path.join(folder, "data", "random_train_000000.bin"), 4 * args.rows * args.seq + 1)
        results = [compare(args, preset, folder) for preset in args.presets.split(",")]
    settings = {key: getattr(args, key) for key in ("device", "precision", "rows", "seq", "steps", "warmup", "rounds")}
    print(json.dumps({**settings, "results": results}, indent=1))


if __name__ == "__main__":
    main()
