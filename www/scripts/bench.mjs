// Figures of the engine in Chromium, as JSON on stdout: size, loading, tokens per second of each backend, and the CPU backend
// beside the native program on one thread. From the folder www, after `npm run build:engine`:
//
//   cargo build --release -p golf-cli && node scripts/bench.mjs [ROUNDS] > ../docs/bench/DATE-web.json
//
// Native and wasm runs alternate on the same artifact, text and batches; the ratio is the median of the rounds' ratios. On the CPU a
// second is one of the process's CPU time, so that others on the machine count little; one untimed round lets the browser's compiler
// finish. Every figure is the difference of a long run and a short one, which takes the start of a process, the loading of the
// artifact and the compiling of plans out of both sides alike. The module is called as the worker calls it, without the page around
// it. GOLF_BIN, CHROMIUM, ARTIFACT and TEXT name others than the usual ones.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

/** Copies of the text that a short run and a long one read. */
const COPIES = [1, 13];
/** What the façade puts in one batch. */
const BATCH_TOKENS = 2048;
const PROMPT = "Fellow citizens";
/** Tokens that a short run and a long one write. */
const WRITTEN = [100, 900];
/** A GPU in software is only there to be right: it gets less to do. */
const SOFTWARE = { rounds: 3, textBytes: 250, written: 8 };

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
  const each = ({ value }) => {
    bits += value.bits;
    bytes += value.bytes;
    tokens += value.tokens.length;
    return true;
  };
  const [, seconds] = await clock(() => session.score(text, { chunkTokens }, each));
  return { bpb: bits / bytes, tokens, seconds };
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
  return { text, tokens, seconds };
}

/** CPU seconds of the processes that this one has waited for. */
function childSeconds() {
  const [, after] = readFileSync("/proc/self/stat", "utf8").split(") ");
  const [user, system] = after.split(" ").slice(13, 15);
  return (Number(user) + Number(system)) / TICKS;
}
const TICKS = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

function native(command, ...args) {
  const before = childSeconds();
  const options = { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
  const report = execFileSync(join(BIN, "golf"), [command, ARTIFACT, ...args, "--threads", "1", "--json"], options);
  return { ...JSON.parse(report), seconds: childSeconds() - before };
}

function scoreNatively(file) {
  const { val_bpb: bpb, tokens, seconds } = native("eval", "--text", file, "--batch-tokens", String(BATCH_TOKENS), "--quiet");
  return { bpb, tokens, seconds };
}

function writeNatively(tokens) {
  return native("generate", "--prompt", PROMPT, "--temperature", "0", "--tokens", String(tokens));
}

/** What the long run did beyond the short one, and how long that took; the rest is the long run's. */
function beyond(short, long) {
  return { ...long, tokens: long.tokens - short.tokens, seconds: long.seconds - short.seconds };
}

const rate = ({ tokens, seconds }) => tokens / seconds;

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const digits = (number) => Number(number.toPrecision(4));

/** Both sides of one comparison, round by round. */
function beside(wasm, native) {
  const [here, there] = [wasm.map(rate), native.map(rate)];
  const ratios = here.map((wasm, round) => wasm / there[round]);
  return {
    wasm: digits(median(here)),
    native_one_thread: digits(median(there)),
    ratio: digits(median(ratios)),
    runs: { wasm: here.map(digits), native_one_thread: there.map(digits), ratio: ratios.map(digits) },
  };
}

const started = ({ device, compiled, opened, loaded }) => ({
  device: device.name,
  module_seconds: digits(compiled),
  device_seconds: digits(opened),
  artifact_seconds: digits(loaded),
});

/** `run` in the page; its seconds are those of the page's process. */
async function onProcessor(page, run, args) {
  const system = await browser.newBrowserCDPSession();
  const renderers = async () => {
    const { processInfo } = await system.send("SystemInfo.getProcessInfo");
    return processInfo.filter(({ type }) => type === "renderer").reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  };
  const before = await renderers();
  const result = await page.evaluate(run, args);
  return { ...result, seconds: (await renderers()) - before };
}

async function onCpu(page, texts, files) {
  const start = await page.evaluate(open, "cpu");
  const scoring = texts.map((text) => [text, Math.max(start.window, BATCH_TOKENS)]);
  const writing = WRITTEN.map((tokens) => [PROMPT, tokens]);
  await page.evaluate(score, scoring[0]);
  await page.evaluate(write, writing[0]);
  const both = async (run, [short, long]) => beyond(await run(short), await run(long));
  const runs = { score: [[], []], write: [[], []] };
  for (let round = 0; round < ROUNDS; round += 1) {
    runs.score[1].push(await both(scoreNatively, files));
    runs.score[0].push(await both((args) => onProcessor(page, score, args), scoring));
    runs.write[1].push(await both(writeNatively, WRITTEN));
    runs.write[0].push(await both((args) => onProcessor(page, write, args), writing));
  }
  const [[here], [there]] = runs.score;
  const same = runs.write[0][0].text === runs.write[1][0].text;
  return {
    artifact: { sha256: start.sha256, params: start.params, window: start.window },
    cpu: {
      ...started(start),
      scored_tokens_per_cpu_second: { ...beside(...runs.score), bpb_difference: here.bpb - there.bpb },
      written_tokens_per_cpu_second: { ...beside(...runs.write), same_text: same },
    },
  };
}

async function onWebgpu(page, text) {
  const start = await page.evaluate(open, "webgpu");
  const [scored, written] = [[], []];
  // The first round compiles the shaders.
  for (let round = 0; round <= Math.min(SOFTWARE.rounds, ROUNDS); round += 1) {
    scored.push(await page.evaluate(score, [text.slice(0, SOFTWARE.textBytes), BATCH_TOKENS]));
    written.push(await page.evaluate(write, [PROMPT, SOFTWARE.written]));
  }
  const middle = (runs) => digits(median(runs.slice(1).map(rate)));
  return {
    ...started(start),
    note: "SwiftShader, a GPU in software: says that the kernels run, not how fast a GPU is",
    scored_tokens_per_second: middle(scored),
    written_tokens_per_second: middle(written),
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
const texts = COPIES.map((copies) => text.repeat(copies));
const folder = mkdtempSync(join(tmpdir(), "golf-bench-"));
const files = texts.map((_, index) => join(folder, `${index}.txt`));
files.forEach((file, index) => writeFileSync(file, texts[index]));
const { artifact, cpu } = await visit(onCpu, texts, files);
rmSync(folder, { recursive: true });
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
      text_bytes: texts.map((text) => Buffer.byteLength(text)),
      written_tokens: WRITTEN,
      cpu,
      webgpu,
    },
    null,
    2,
  ),
);
await browser.close();
server.close();
