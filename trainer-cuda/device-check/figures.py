#!/usr/bin/env python3
"""What the results of device-check.sh say, a line per figure; `--training DIR` makes such a result of a run's `metrics.jsonl`."""
import json
import os
import statistics
import sys


def rounded(value, digits=2):
    return "unknown" if value is None else f"{value:.{digits}f}"


def of_versus(report):
    for row in report["results"]:
        what = f"{row['preset']} {report['what']} of {report['rows']} x {report['seq']}, {report['precision']}"
        for who in ("golf", "peer"):
            if who in row:
                ms, rate, mfu, memory = (row[who][key] for key in ("ms", "tokens_per_s", "mfu", "memory_mib"))
                yield f"{what}, {who}: {ms} ms, {rate} tokens/s, MFU {rounded(mfu, 4)}, {rounded(memory, 0)} MiB at most"
            if f"{who}_error" in row:
                yield f"{what}, {who}: FAILED: {row[f'{who}_error'].strip().splitlines()[-1]}"
        if "time_ratio_golf_to_peer" in row:
            yield f"{what}: {row['time_ratio_golf_to_peer']} of the peer's time"


def of_trace(report):
    total = report["total"]["seconds"]
    most = ", ".join(f"{op['what']} {1000 * op['seconds']:.2f} ({op['share']:.0%})" for op in report["ops"][:6])
    yield f"{report['plan']}, {report['rows']} x {report['window']}: {1000 * total:.2f} ms; {most}"


def of_kernels(report):
    yield f"{report['backend']}: peak {rounded(report['peak_gflops'], 0)} GFLOP/s ({report['peak_source'] or 'unknown'})"
    for row in report["kernels"]:
        part = "" if row["peak_fraction"] is None else f", {row['peak_fraction']:.1%} of the peak"
        yield f"{row['op']} {row['shape']} {row['weights']}: {row['milliseconds']:.3f} ms, {row['gflops'] / 1000:.1f} TFLOP/s{part}"


def of_bench(rows):
    for row in rows:
        yield f"{row['model']} {row['test']}: {row['tokens_per_s']:.0f} tokens/s, {rounded(row['gflops'], 0)} GFLOP/s"


def of_training(run):
    yield f"{run['steps']} steps of {run['tokens']} tokens: {rounded(run['ms'])} ms a step, {rounded(run['tokens_per_s'], 0)} tokens/s"
    if run["fake_quant_ms"] is not None:
        yield f"with fake quantization {rounded(run['fake_quant_ms'])} ms a step"
    if run["startup_ms"] is not None:
        yield f"first step done {rounded(run['startup_ms'] / 1000)} s after the program's start"
    yield f"loss {rounded(run['loss'], 4)}; validation {rounded(run['val_bpb'], 4)} BPB; of the artifact {rounded(run['final_bpb'], 4)} BPB"
    yield f"artifact: {run['artifact_bytes']} bytes"


def lines(path):
    with open(path) as file:
        report = json.load(file)
    if isinstance(report, list):
        return of_bench(report)
    kinds = {"results": of_versus, "ops": of_trace, "kernels": of_kernels, "artifact_bytes": of_training}
    for key, of_kind in kinds.items():
        if key in report:
            return of_kind(report)
    return [f"{report['val_bpb']:.4f} bits per byte"] if "val_bpb" in report else []


def training(folder):
    """Figures of a run, of the steps since it was last resumed."""
    with open(os.path.join(folder, "metrics.jsonl")) as file:
        events = [json.loads(line) for line in file]
    last = lambda kind: next((event for event in reversed(events) if event["event"] == kind), {})
    begins = [number for number, event in enumerate(events) if event["event"] == "resume"]
    steps = [event for event in events[max(begins, default=0) :] if event["event"] == "step"]
    times = {False: [], True: []}
    for before, after in zip(steps, steps[1:]):
        times[after["fake_quant"]].append(after["train_ms"] - before["train_ms"])
    median = lambda values: statistics.median(values) if values else None
    ms, tokens = median(times[False]), last("step").get("tokens")
    return {
        "steps": last("step").get("step"),
        "tokens": tokens,
        "ms": ms,
        "tokens_per_s": tokens / ms * 1000 if ms else None,
        "fake_quant_ms": median(times[True]),
        "startup_ms": next((event["startup_ms"] for event in events if "startup_ms" in event), None),
        "loss": last("step").get("loss"),
        "val_bpb": last("validation").get("bpb"),
        "final_bpb": last("final").get("bpb"),
        "artifact_bytes": last("artifact").get("bytes"),
        "weights": last("artifact").get("weights"),
        "warnings": sorted({event["message"] for event in events if event["event"] == "warning"}),
    }


def main():
    if sys.argv[1:2] == ["--training"]:
        print(json.dumps(training(sys.argv[2]), indent=1))
        return
    for path in sys.argv[1:]:
        for line in lines(path):
            print(f"{os.path.basename(path).removesuffix('.json')}: {line}")


if __name__ == "__main__":
    main()
