#!/usr/bin/env python3
"""Tokenize a text into the challenge's shards, with SentencePiece's own library: documents are separated by an empty line, and each
begins with BOS. `.xz` is unpacked on the way.

    python3 tests/bench/shards.py --tokenizer 1024.model --out data text.txt.xz
"""
import argparse
import lzma
import os
import struct

LONGEST = 50_000_000
BATCH = 4096


def documents(path):
    lines = []
    with (lzma.open if path.endswith(".xz") else open)(path, "rt", encoding="utf-8", newline="\n") as text:
        for line in text:
            if line != "\n":
                lines.append(line)
            elif lines:
                yield "".join(lines).rstrip("\n")
                lines = []
    if lines:
        yield "".join(lines).rstrip("\n")


def batches(items):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def write(folder, number, tokens):
    with open(os.path.join(folder, f"text_train_{number:06}.bin"), "wb") as shard:
        shard.write(struct.pack("<256i", 20240520, 1, len(tokens), *[0] * 253))
        shard.write(struct.pack(f"<{len(tokens)}H", *tokens))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("--tokenizer", required=True, help="SentencePiece model")
    parser.add_argument("--out", required=True, help="folder for the shards")
    args = parser.parse_args()
    import sentencepiece

    tokenizer = sentencepiece.SentencePieceProcessor(model_file=args.tokenizer)
    os.makedirs(args.out, exist_ok=True)
    tokens, number = [], 0
    for batch in batches(documents(args.text)):
        for ids in tokenizer.encode(batch, num_threads=os.cpu_count()):
            tokens.append(tokenizer.bos_id())
            tokens.extend(ids)
        while len(tokens) >= LONGEST:
            write(args.out, number, tokens[:LONGEST])
            tokens, number = tokens[LONGEST:], number + 1
    if tokens:
        write(args.out, number, tokens)
    print(f"{number * LONGEST + len(tokens)} tokens in `{args.out}`")


if __name__ == "__main__":
    main()
