// Figures of the engine in Chromium, as JSON on stdout: size, loading, tokens per second of each backend, and the CPU backend
// beside the native programs on one thread. From the folder www, after `npm run build:engine`:
//
//   cargo build --release -p golf-cli && node scripts/bench.mjs [ROUNDS] > ../docs/bench/DATE-web.json
//
// Native and wasm runs alternate on the same artifact, text and batches; medians count. The module is called as the worker calls
// it, without the page around it. GOLF_BIN, CHROMIUM, ARTIFACT and TEXT name others than the usual ones.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync, mkdtempSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { chromium } from "playwright-core";

const WWW = fileURLToPath(new URL("..", import.meta.url));
const ROUNDS = Number(process.argv[2] ?? 5);
const BIN = process.env.GOLF_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(WWW, "../target"), "release");
const ARTIFACT = process.env.ARTIFACT ?? join(WWW, "public/models/first-run.bin");
const TEXT = process.env.TEXT ?? join(WWW, "src/samples/madison-1809.txt");

/** What the façade puts in one batch. */
const BATCH_TOKENS = 2048;
const PROMPT = "Fellow citizens";
const WRITTEN = 200;
/** A software GPU is only there to be right: it gets less to do. */
const SOFTWARE = { textBytes: 1000, written: 8 };

const FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
const FILES = {
  "/": [() => "<!doctype html><title>bench</title>", "text/html"],
  "/golf_wasm.js": [() => readFileSync(join(WWW, "pkg/golf_wasm.js")), "text/javascript"],
  "/golf_wasm_bg.wasm": [() => readFileSync(join(WWW, "pkg/golf_wasm_bg.wasm")), "application/wasm"],
  "/artifact.bin": [() => readFileSync(ARTIFACT), "application/octet-stream"],
};

/** Runs in the browser: a session on `backend`, and the seconds until it was there. */
async function open(backend) {
  const clock = async (work) => {
    const start = performance.now();
    const value = await work();
    return [value, (performance.now() - start) / 1000];
  };
  const [golf, compiled] = await clock(async () => {
    const golf = await import("/golf_wasm.js");
    await golf.default();
    return golf;
  });
  const [session, opened] = await clock(() => golf.Session.open(backend));
  const bytes = new Uint8Array(await (await fetch("/artifact.bin")).arrayBuffer());
  const [model, loaded] = await clock(() => session.load(bytes));
  globalThis.bench = { session, model, clock };
  return { device: session.device(), window: model.window, params: model.params, sha256: model.sha256, compiled, opened, loaded };
}

async function score([text, chunkTokens]) {
  const { session, clock } = globalThis.bench;
  let [bits, bytes, tokens] = [0, 0, 0];
  const [, seconds] = await clock(() =>
    session.score(text, { chunkTokens }, ({ value }) => {
      bits += value.bits;
      bytes += value.bytes;
      tokens += value.tokens.length;
      return true;
    }),
  );
  return { bpb: bits / bytes, rate: tokens / seconds };
}

async function write([prompt, tokens]) {
  const { session, clock } = globalThis.bench;
  let text = "";
  const options = { temperature: 0, topK: 0, seed: 0, tokens };
  const emit = (part) => {
    text += part;
    return true;
  };
  const [, seconds] = await clock(() => session.write(prompt, options, emit));
  return { text, rate: tokens / seconds };
}

function native(program, ...args) {
  const options = { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
  return JSON.parse(execFileSync(join(BIN, program), [...args, "--threads", "1", "--json"], options));
}

function scoreNatively(file) {
  const report = native("golf-eval", ARTIFACT, "--text", file, "--batch-tokens", String(BATCH_TOKENS), "--quiet");
  return { bpb: report.val_bpb, rate: report.tokens_per_second };
}

function writeNatively() {
  const options = ["--prompt", PROMPT, "--temperature", "0", "--tokens", String(WRITTEN)];
  const { text, tokens, seconds } = native("golf", "generate", ARTIFACT, ...options);
  return { text, rate: tokens / seconds };
}

function median(runs) {
  const rates = runs.map((run) => run.rate).sort((a, b) => a - b);
  const middle = rates.length >> 1;
  return rates.length % 2 === 1 ? rates[middle] : (rates[middle - 1] + rates[middle]) / 2;
}

const digits = (number) => Number(number.toPrecision(4));

/** Both sides of one comparison. */
function beside(wasm, native) {
  return {
    wasm_tokens_per_second: digits(median(wasm)),
    native_one_thread_tokens_per_second: digits(median(native)),
    ratio: digits(median(wasm) / median(native)),
    runs: { wasm: wasm.map((run) => digits(run.rate)), native: native.map((run) => digits(run.rate)) },
  };
}

const started = ({ device, compiled, opened, loaded }) => ({
  device: device.name,
  module_seconds: digits(compiled),
  device_seconds: digits(opened),
  artifact_seconds: digits(loaded),
});

async function onCpu(page, text, file) {
  const start = await page.evaluate(open, "cpu");
  const chunk = Math.max(start.window, BATCH_TOKENS);
  const runs = { score: [[], []], write: [[], []] };
  for (let round = 0; round < ROUNDS; round += 1) {
    runs.score[1].push(scoreNatively(file));
    runs.score[0].push(await page.evaluate(score, [text, chunk]));
    runs.write[1].push(writeNatively());
    runs.write[0].push(await page.evaluate(write, [PROMPT, WRITTEN]));
  }
  const [[here], [there]] = runs.score;
  const same = runs.write[0][0].text === runs.write[1][0].text;
  return {
    artifact: { sha256: start.sha256, params: start.params, window: start.window },
    cpu: {
      ...started(start),
      score: { ...beside(...runs.score), bpb_difference: here.bpb - there.bpb },
      write: { ...beside(...runs.write), same_text: same },
    },
  };
}

async function onWebgpu(page, text) {
  const start = await page.evaluate(open, "webgpu");
  const part = text.slice(0, SOFTWARE.textBytes);
  const [scored, written] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    scored.push(await page.evaluate(score, [part, BATCH_TOKENS]));
    written.push(await page.evaluate(write, [PROMPT, SOFTWARE.written]));
  }
  return {
    ...started(start),
    note: "SwiftShader, a GPU in software: says that the kernels run, not how fast a GPU is",
    score_tokens_per_second: digits(median(scored)),
    write_tokens_per_second: digits(median(written)),
  };
}

const server = createServer((request, response) => {
  const [body, type] = FILES[request.url] ?? [() => "", "text/plain"];
  response.writeHead(200, { "content-type": type }).end(body());
});
await new Promise((ready) => server.listen(0, ready));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

async function visit(run, ...args) {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  await page.goto(`http://localhost:${server.address().port}/`);
  const figures = await run(page, ...args);
  await page.close();
  return figures;
}

const before = loadavg()[0];
const text = readFileSync(TEXT, "utf8");
const file = join(mkdtempSync(join(tmpdir(), "golf-bench-")), "text.txt");
writeFileSync(file, text);
const { artifact, cpu } = await visit(onCpu, text, file);
const webgpu = await visit(onWebgpu, text);
const module = readFileSync(join(WWW, "pkg/golf_wasm_bg.wasm"));
console.log(
  JSON.stringify(
    {
      machine: { cpu: cpus()[0].model, cores: cpus().length, load_before: before, load_after: loadavg()[0] },
      browser: browser.version(),
      rounds: ROUNDS,
      module: { bytes: module.length, gzipped_bytes: gzipSync(module, { level: 9 }).length },
      artifact: { ...artifact, bytes: readFileSync(ARTIFACT).length },
      text_bytes: Buffer.byteLength(text),
      cpu,
      webgpu,
    },
    null,
    2,
  ),
);
await browser.close();
server.close();
