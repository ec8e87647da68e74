#!/usr/bin/env python3
"""Time score-first test-time training of a PyTorch model on one GPU, and print JSON.

The model is that of the peer's script (`--peer`, which has `CONFIGS`, `Cfg` and `Net`): bf16 autocast, `torch.compile`. A chunk is
scored without gradients, and then every parameter is trained on it by SGD with momentum, one step per epoch. Random tokens.
"""
import argparse
import importlib.util
import json
import statistics
import time

import torch


def load(path):
    spec = importlib.util.spec_from_file_location("peer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--seq", type=int, default=2048)
    parser.add_argument("--chunks", type=int, default=64)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    peer, kind = load(args.peer), args.device.split(":")[0]
    config = peer.Cfg(**peer.CONFIGS[args.config])
    torch.manual_seed(0)
    net = peer.Net(config, args.seq).to(args.device)
    net.wide = torch.bfloat16
    optimizer = torch.optim.SGD(net.parameters(), lr=2e-3, momentum=0.9, foreach=True)
    forward = torch.compile(net, dynamic=False, fullgraph=True) if kind == "cuda" else net
    data = torch.randint(0, config.vocab, (4, args.rows, args.seq + 1), device=args.device)
    sync = torch.cuda.synchronize if kind == "cuda" else lambda: None

    def loss_of(k):
        ids = data[k % 4]
        with torch.autocast(kind, torch.bfloat16):
            return forward(ids[:, :-1], ids[:, 1:])

    score_ms, epoch_ms = [], []
    for k in range(args.warmup + args.chunks):
        sync()
        start = time.perf_counter()
        with torch.no_grad():
            loss_of(k).item()
        sync()
        scored = time.perf_counter()
        for _ in range(args.epochs):
            loss_of(k).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        sync()
        if k >= args.warmup:
            score_ms.append(1000 * (scored - start))
            epoch_ms.append(1000 * (time.perf_counter() - scored) / args.epochs)
    score, epoch = statistics.median(score_ms), statistics.median(epoch_ms)
    print(json.dumps({"torch": torch.__version__, "score_ms": score, "epoch_ms": epoch, "ms": score + args.epochs * epoch}))


if __name__ == "__main__":
    main()
