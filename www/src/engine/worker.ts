// The worker: one session, one job at a time. Memory figures and the loss of the device are answered at any time.

import init, { Session, Switch, gzip9 } from "../../pkg/golf_wasm.js";
import type { ErrorCode, ScoreEvent } from "../engine";
import { nameAdapter } from "./adapter";
import type { Calls, Name, Reply, Request, ScoreRequest, WriteRequest } from "./protocol";

/** Where a 32-bit module's memory ends, less what one more large buffer takes. */
const NEARLY_ALL_MEMORY = 3.5 * 2 ** 30;

let session: Session | undefined;
let device: Switch | undefined;
let memory: WebAssembly.Memory | undefined;
let running: { call: number; stopped: boolean } | undefined;

const scope = self as unknown as { postMessage(reply: Reply): void };
const post = (reply: Reply) => scope.postMessage(reply);

class JobError extends Error {
  constructor(readonly code: ErrorCode, message: string) { super(message); }
}

/** Lets the messages in that arrived meanwhile. A timer would wait for 4 ms each time. */
const { port1, port2 } = new MessageChannel();
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    port1.onmessage = () => resolve();
    port2.postMessage(null);
  });
}

/** Seconds since the last call. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = (now - last) / 1000;
    last = now;
    return seconds;
  };
}

function opened(): Session {
  if (!session) throw new JobError("internal", "the engine was not started");
  return session;
}

/** A callback for the module: hands on what `translate` makes of a value, and says whether to go on. */
function reporter<V>(job: { call: number; stopped: boolean }, translate: (value: V) => unknown) {
  return async (value: V): Promise<boolean> => {
    const event = translate(value);
    if (event !== undefined) post({ call: job.call, event });
    await breathe();
    return !job.stopped;
  };
}

type Job = { call: number; stopped: boolean };
type Handlers = { [N in Name]: (job: Job, ...args: Calls[N]["args"]) => Promise<Calls[N]["result"]> };

const handlers: Handlers = {
  async open(_job, prefer) {
    memory = (await init()).memory;
    session = await Session.open(prefer);
    device = session.switch();
    return nameAdapter(session.device());
  },

  async load(_job, bytes) {
    return opened().load(bytes);
  },

  async score(job, text: string, options: ScoreRequest) {
    const lap = stopwatch();
    const timed = (event: ScoreEvent) => ({ ...event, value: { ...event.value, seconds: lap() } });
    await opened().score(text, options, reporter(job, timed));
    return null;
  },

  alternatives(_job, index) {
    return opened().alternatives(index);
  },

  async write(job, prompt: string, options: WriteRequest) {
    const start = performance.now();
    const written = { text: "", tokens: 0, seconds: 0, firstTokenSeconds: 0 };
    const emit = reporter(job, (text: string) => {
      const seconds = (performance.now() - start) / 1000;
      if (written.tokens === 0) written.firstTokenSeconds = seconds;
      // What is flushed at the end belongs to tokens that were counted.
      written.tokens = Math.min(written.tokens + 1, options.tokens);
      written.seconds = seconds;
      written.text += text;
      return text || undefined;
    });
    await opened().write(prompt, options, emit);
    return written;
  },

  async compress(_job, text) {
    const { Zstd } = await import("@hpcc-js/wasm-zstd");
    const zstd = await Zstd.load();
    const bytes = new TextEncoder().encode(text);
    return { gzip: gzip9(text), zstd: zstd.compress(bytes, 19).byteLength, bytes: bytes.byteLength };
  },

  async memory() {
    // A session at work cannot be asked; what it holds shows in the module's memory.
    return { buffers: running ? 0 : opened().bufferBytes(), wasm: memory?.buffer.byteLength ?? 0 };
  },

  async loseDevice() {
    device?.destroy();
    return null;
  },
};

/** Calls that do not touch the session, or not while it is at work. */
const ANY_TIME: ReadonlySet<Name> = new Set<Name>(["memory", "loseDevice"]);

function fail(call: number, error: unknown): void {
  const known = error instanceof Error && typeof (error as { code?: unknown }).code === "string";
  const code = known ? (error as unknown as { code: ErrorCode }).code : crashCode();
  post({ call, error: { code, message: error instanceof Error ? error.message : String(error) } });
}

/** A trap of the module: nearly always its memory, if that is nearly all used. */
function crashCode(): ErrorCode {
  return (memory?.buffer.byteLength ?? 0) > NEARLY_ALL_MEMORY ? "out-of-memory" : "internal";
}

async function handle(request: Exclude<Request, { stop: number }>): Promise<void> {
  const { call, name, args } = request;
  const handler = handlers[name] as (job: Job, ...args: unknown[]) => Promise<unknown>;
  const job = { call, stopped: false };
  const exclusive = !ANY_TIME.has(name);
  if (exclusive && running) return fail(call, new JobError("busy", "another job is running"));
  if (exclusive) running = job;
  try {
    post({ call, result: await handler(job, ...args) });
  } catch (error) {
    fail(call, error);
  } finally {
    if (exclusive) running = undefined;
  }
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  if ("stop" in data) {
    if (running?.call === data.stop) running.stopped = true;
    return;
  }
  void handle(data);
};

// A trap inside an async function of the module reaches nobody else: its promise never settles.
self.addEventListener("error", (event) => {
  if (!running) return;
  event.preventDefault();
  fail(running.call, event.error ?? event.message);
});
