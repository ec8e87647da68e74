// The page's side of the worker: calls as promises, a score as an async iterator.

import { EngineError } from "../engine";
import type { Device, Engine, ScoreEvent, ScoreOptions, WriteOptions } from "../engine";
import type { Calls, Name, Reply, Request } from "./protocol";

interface Pending {
  event(value: unknown): void;
  result(value: unknown): void;
  error(error: EngineError): void;
}

/** The worker with the calls that it has not answered. */
class Channel {
  private next = 0;
  private dead: EngineError | undefined;
  private readonly pending = new Map<number, Pending>();

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.receive(data);
    // The module itself did not load or parse.
    worker.onerror = (event) => this.die(new EngineError("internal", event.message || "the worker could not start"));
  }

  call<N extends Name>(
    name: N,
    args: Calls[N]["args"],
    options: { signal?: AbortSignal | undefined; transfer?: Transferable[]; event?: (value: Calls[N]["event"]) => void } = {},
  ): Promise<Calls[N]["result"]> {
    const { signal, transfer = [], event = () => {} } = options;
    if (this.dead) return Promise.reject(this.dead);
    if (signal?.aborted) return Promise.reject(new EngineError("aborted", "stopped before it began"));
    const call = this.next++;
    const stop = () => this.worker.postMessage({ stop: call } satisfies Request);
    const answer = new Promise<Calls[N]["result"]>((resolve, reject) => {
      this.pending.set(call, { event: event as (value: unknown) => void, result: resolve as (value: unknown) => void, error: reject });
    });
    signal?.addEventListener("abort", stop, { once: true });
    this.worker.postMessage({ call, name, args } as Request, transfer);
    return answer.finally(() => signal?.removeEventListener("abort", stop));
  }

  die(error: EngineError): void {
    this.dead ??= error;
    this.worker.terminate();
    for (const pending of this.pending.values()) pending.error(this.dead);
    this.pending.clear();
  }

  private receive(reply: Reply): void {
    const pending = this.pending.get(reply.call);
    if (!pending) return;
    if ("event" in reply) return pending.event(reply.event);
    this.pending.delete(reply.call);
    if ("result" in reply) pending.result(reply.result);
    else pending.error(new EngineError(reply.error.code, reply.error.message));
  }
}

class WorkerEngine implements Engine {
  constructor(private readonly channel: Channel, readonly device: Device) {}

  load(bytes: Uint8Array<ArrayBuffer>) {
    return this.channel.call("load", [bytes]);
  }

  async *score(text: string, { learn, chunkTokens, signal }: ScoreOptions): AsyncGenerator<ScoreEvent, void, void> {
    const inner = new AbortController();
    const abort = () => inner.abort();
    if (signal?.aborted) inner.abort();
    signal?.addEventListener("abort", abort, { once: true });
    const ready: ScoreEvent[] = [];
    let wake = () => {};
    let ended = false;
    let failure: unknown;
    const event = (value: ScoreEvent) => { ready.push(value); wake(); };
    const end = this.channel.call("score", [text, { learn, chunkTokens }], { signal: inner.signal, event })
      .catch((error: unknown) => { failure = error; })
      .finally(() => { ended = true; wake(); });
    try {
      while (true) {
        for (let value = ready.shift(); value; value = ready.shift()) yield value;
        if (ended) break;
        await new Promise<void>((resolve) => { wake = resolve; });
      }
      if (failure) throw failure;
    } finally {
      // A reader who leaves early stops the work, and the next job finds the worker free.
      inner.abort();
      await end;
      signal?.removeEventListener("abort", abort);
    }
  }

  alternatives(index: number) {
    return this.channel.call("alternatives", [index]);
  }

  write(prompt: string, { signal, ...options }: WriteOptions, emit: (text: string) => void) {
    return this.channel.call("write", [prompt, options], { signal, event: emit });
  }

  compress(text: string) {
    return this.channel.call("compress", [text]);
  }

  memory() {
    return this.channel.call("memory", []);
  }

  async loseDevice() {
    await this.channel.call("loseDevice", []);
  }

  close() {
    this.channel.die(new EngineError("aborted", "the engine was closed"));
  }
}

/** Starts a worker and opens its device. */
export async function startEngine(prefer: "auto" | "cpu" | "webgpu"): Promise<Engine> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "golf" });
  const channel = new Channel(worker);
  try {
    return new WorkerEngine(channel, await channel.call("open", [prefer]));
  } catch (error) {
    channel.die(error instanceof EngineError ? error : new EngineError("internal", String(error)));
    throw error;
  }
}
