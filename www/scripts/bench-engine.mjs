// Tokens per second of the wasm engine beside native golf-eval on one thread, as JSON on stdout.
//
//   node www/scripts/bench-engine.mjs ARTIFACT TEXT [GOLF_EVAL [ROUNDS]]
//
// Same artifact, same text, same batches; runs alternate, and the best of ROUNDS (5) counts. Wants a quiet machine: times
// are of the wall. The engine runs in Node, whose compiler is Chromium's.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import init, { Session } from "../pkg/golf_wasm.js";

const [artifactPath, textPath, golfEval = "target/release/golf-eval", rounds = "5"] = process.argv.slice(2);
if (!textPath) {
  console.error("usage: node www/scripts/bench-engine.mjs ARTIFACT TEXT [GOLF_EVAL [ROUNDS]]");
  process.exit(2);
}
const BATCH_TOKENS = 2048; // what the façade puts in one batch
const WRITTEN = 200;

const module = readFileSync(new URL("../pkg/golf_wasm_bg.wasm", import.meta.url));
const seconds = async (work) => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

const startSeconds = await seconds(() => init({ module_or_path: module }));
const session = await Session.open("cpu");
let model;
const loadSeconds = await seconds(() => { model = session.load(readFileSync(artifactPath)); });
const text = readFileSync(textPath, "utf8");

async function scoreHere() {
  let bits = 0, bytes = 0, tokens = 0;
  const options = { chunkTokens: Math.max(model.window, BATCH_TOKENS) };
  const took = await seconds(() => session.score(text, options, ({ value }) => {
    bits += value.bits;
    bytes += value.bytes;
    tokens += value.tokens.length;
    return true;
  }));
  return { bpb: bits / bytes, tokens_per_second: tokens / took };
}

function scoreNatively() {
  const args = [artifactPath, "--text", textPath, "--threads", "1", "--batch-tokens", String(BATCH_TOKENS), "--quiet", "--json"];
  const { val_bpb: bpb, tokens_per_second } = JSON.parse(execFileSync(golfEval, args, { encoding: "utf8" }));
  return { bpb, tokens_per_second };
}

async function writeHere() {
  let tokens = 0;
  const options = { temperature: 0, topK: 0, seed: 0, tokens: WRITTEN };
  return WRITTEN / await seconds(() => session.write("The", options, () => ++tokens > 0));
}

const best = (runs) => Math.max(...runs.map((run) => run.tokens_per_second));
const here = [], native = [], written = [];
for (let round = 0; round < Number(rounds); round++) {
  native.push(scoreNatively());
  here.push(await scoreHere());
  written.push(await writeHere());
}
console.log(JSON.stringify({
  artifact: { sha256: model.sha256, params: model.params, window: model.window },
  text_bytes: Buffer.byteLength(text),
  wasm: { bytes: module.length, gzipped_bytes: gzipSync(module, { level: 9 }).length, simd: session.device().name },
  node: process.version,
  rounds: here.length,
  start_seconds: startSeconds,
  load_seconds: loadSeconds,
  score: {
    wasm_tokens_per_second: best(here),
    native_one_thread_tokens_per_second: best(native),
    ratio: best(here) / best(native),
    bpb_difference: here[0].bpb - native[0].bpb,
  },
  write: { wasm_tokens_per_second: Math.max(...written) },
}, null, 2));
