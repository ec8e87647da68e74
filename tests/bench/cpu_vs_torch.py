#!/usr/bin/env python3
"""Time golf's CPU backend against a PyTorch peer, alternating in one run (A B B A ...), and print JSON.

The peer is a script that takes `--config --rows --seq --threads --repeat` and prints one JSON object with the entries `forward` and
`train_step_sgd`, each holding `tokens_per_core_s`. Tokens per core-second divide by process CPU time, which holds up better on a busy
machine than wall clock; both are reported.

    cargo build --release
    python3 tests/bench/cpu_vs_torch.py --peer torch_cpu_speed.py --python python-with-torch/bin/python > result.json
"""
import argparse
import json
import platform
import statistics
import subprocess
import sys

# What the peer calls a test, and the start of golf's name for it.
TESTS = {"forward": "pp", "train_step_sgd": "ttt"}


def cpu_name():
    try:
        with open("/proc/cpuinfo") as info:
            names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
        return f"{names[0]} ({len(names)} logical cores)"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def call(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def run_golf(args, threads):
    command = [args.golf, "bench", "--preset", args.preset, "--rows", args.rows, "--seq", args.seq, "-r", args.repeat]
    command += ["--tests", ",".join(TESTS.values())]
    rows = call([str(part) for part in command + ["--threads", threads, "-o", "json"]])
    picked = {}
    for key, name in TESTS.items():
        row = next(row for row in rows if row["test"].startswith(name))
        picked[key] = {"core": row["tokens_per_core_s"], "wall": row["tokens_per_s"]}
    return picked


def run_peer(args, threads):
    command = [args.python, args.peer, "--config", args.peer_config, "--rows", args.rows, "--seq", args.seq]
    result = call([str(part) for part in command + ["--threads", threads, "--repeat", args.repeat]])
    picked = {key: {"core": result[key]["tokens_per_core_s"], "wall": result[key]["tokens_per_s"]} for key in TESTS}
    return picked, result.get("torch")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golf", default="target/release/golf")
    parser.add_argument("--peer", required=True, help="path of the peer's script")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--preset", default="pr549")
    parser.add_argument("--peer-config", default="p549", help="the peer's name for the same model")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--seq", type=int, default=2048)
    parser.add_argument("--threads", default="1,2", help="comma-separated thread counts")
    parser.add_argument("--rounds", type=int, default=2, help="A B B A rounds per thread count")
    parser.add_argument("--repeat", type=int, default=3, help="timed repetitions inside one process")
    args = parser.parse_args()
    report = {"cpu": cpu_name(), "preset": args.preset, "rows": args.rows, "seq": args.seq, "rounds": args.rounds, "results": []}
    for threads in [int(part) for part in args.threads.split(",")]:
        golf, peer = [], []
        for _ in range(args.rounds):
            for who in "ABBA":
                if who == "A":
                    golf.append(run_golf(args, threads))
                else:
                    sample, report["torch"] = run_peer(args, threads)
                    peer.append(sample)
        for key in TESTS:
            row = {"test": key, "threads": threads}
            for unit in ("core", "wall"):
                ours, theirs = ([sample[key][unit] for sample in samples] for samples in (golf, peer))
                row[f"tokens_per_{unit}_s"] = {"golf": ours, "peer": theirs}
                row[f"{unit}_ratio_of_medians"] = round(statistics.median(ours) / statistics.median(theirs), 4)
            report["results"].append(row)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
