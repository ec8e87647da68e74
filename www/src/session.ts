// The engine's life: start, load, one job at a time, restart after a loss. Invariant: at most one job runs; whatever it ends
// with, `job` is null afterwards and the engine can take the next. It draws nothing.

import { type Engine, EngineError, type ScoreEvent, type ScoreOptions, startEngine } from "./engine.ts";
import type { Listed } from "./manifest.ts";
import { isLost, uninterrupted } from "./resume.ts";
import { emptyReading, type Page, type Prefer, type Reading, type ReadingKey } from "./state.ts";
import { wordsFor } from "./words.ts";

/** Losses of one job that are answered with a restart; from the second on, on the CPU. */
const RESTARTS = 2;

export class Session {
  private engine: Promise<Engine>;
  private running: AbortController | null = null;
  /** The artifact, to load it again after a loss without asking the network. A blob, so that the browser may keep it off the heap. */
  private artifact: Blob | null = null;

  /** The question under way, which a job waits for. */
  private asking: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly page: Page,
    private prefer: Prefer,
  ) {
    this.engine = this.start();
    this.engine.catch((error: unknown) => page.set({ notice: { ...wordsFor(error), kind: "fault" } }));
  }

  private async start(): Promise<Engine> {
    const engine = await startEngine(this.prefer).catch((error: unknown) => {
      if (this.prefer !== "webgpu") throw error;
      // Asked for and not there: said, and done without.
      this.page.set({ notice: { ...wordsFor(error), kind: "news" } });
      this.prefer = "auto";
      return startEngine("auto");
    });
    this.page.set({ device: engine.device, askable: null });
    return engine;
  }

  /** Runs one job; its failure becomes the notice, a stop is none. */
  async run<T>(words: string, job: (engine: Engine, signal: AbortSignal) => Promise<T>): Promise<T | null> {
    if (this.running !== null) throw new EngineError("busy", `running: ${this.page.get().job ?? ""}`);
    const control = new AbortController();
    this.running = control;
    // News outlives the job that brought it; a fault is over when something new is tried.
    const { notice } = this.page.get();
    this.page.set({ job: words, notice: notice?.kind === "news" ? notice : null });
    try {
      await this.asking;
      return await job(await this.engine, control.signal);
    } catch (error) {
      if (!control.signal.aborted) await this.fail(error);
      return null;
    } finally {
      this.running = null;
      this.page.set({ job: null });
    }
  }

  stop(): void {
    this.running?.abort();
  }

  private async fail(error: unknown): Promise<void> {
    this.page.set({ notice: { ...wordsFor(error), kind: "fault" } });
    if (isLost(error)) await this.restart().catch(() => undefined);
    // A worker that did not even start is tried afresh by the next job.
    else await this.engine.catch(() => this.replace());
  }

  private replace(): void {
    this.engine = this.start();
    this.engine.catch(() => undefined);
  }

  /** A new engine, with the model that was loaded. */
  private async restart(): Promise<Engine> {
    (await this.engine.catch(() => null))?.close();
    this.replace();
    const engine = await this.engine;
    if (this.artifact !== null) await engine.load(new Uint8Array(await this.artifact.arrayBuffer()));
    return engine;
  }

  /** Loads an artifact. The model that was loaded stays if this one is refused. */
  async load(file: Uint8Array<ArrayBuffer>, name: string, listed: Listed | null): Promise<void> {
    const artifact = new Blob([file]);
    const engine = await this.engine;
    const model = await engine.load(file).catch(async (error: unknown) => {
      if (!isLost(error)) throw error;
      return (await this.restart()).load(new Uint8Array(await artifact.arrayBuffer()));
    });
    this.artifact = artifact;
    this.page.set({ loaded: { name, model, listed }, fixed: null, before: null, learning: null, askable: null });
  }

  /** Another backend, with the same model. */
  async switchTo(prefer: Prefer): Promise<void> {
    this.prefer = prefer;
    await this.run("Starting the engine", () => this.restart());
  }

  get preference(): Prefer {
    return this.prefer;
  }

  /** Scores `text` into the reading `key`, chunk by chunk, across lost devices. */
  async read(key: ReadingKey, text: string, options: ScoreOptions): Promise<Reading> {
    const fixed = options.learn === undefined;
    const put = (reading: Reading): Reading => {
      this.page.set({ [key]: reading });
      return reading;
    };
    let reading = put(emptyReading(text));
    if (fixed) this.page.set({ askable: null });
    try {
      for await (const event of this.score(text, options)) reading = put(advance(reading, event));
    } finally {
      // Also after a stop: the engine has the whole text from the start.
      if (fixed && reading.chunks.length > 0) this.page.set({ askable: key });
    }
    return put({ ...reading, complete: true });
  }

  private score(text: string, options: ScoreOptions): AsyncGenerator<ScoreEvent> {
    const engine = (): Promise<Engine> => this.engine;
    return uninterrupted({
      attempts: RESTARTS,
      score: async function* () {
        yield* (await engine()).score(text, options);
      },
      restart: async (attempt, committed) => {
        if (attempt > 1) this.prefer = "cpu";
        const { device } = await this.restart();
        this.page.set({ notice: restarted(committed, device.backend === "cpu", options.learn !== undefined) });
      },
    });
  }

  /** Destroys the graphics device on purpose. */
  async loseDevice(): Promise<void> {
    await (await this.engine).loseDevice();
  }

  /** Only while nothing runs: the engine does one thing at a time. */
  async ask<T>(question: (engine: Engine) => Promise<T>): Promise<T | null> {
    if (this.running !== null) return null;
    const answer = this.asking.then(async () => question(await this.engine));
    this.asking = answer.catch(() => undefined);
    return answer;
  }
}

function advance(reading: Reading, event: ScoreEvent): Reading {
  if (event.kind === "learned") return { ...reading, learned: [...reading.learned, event.value] };
  return { ...reading, of: event.value.chunks, chunks: [...reading.chunks, event.value] };
}

function restarted(committed: number, cpu: boolean, learning: boolean) {
  const where = cpu ? "on the CPU" : "on a new device";
  const how = learning ? " Learning is replayed up to there, because the weights went with the device." : "";
  return {
    kind: "news" as const,
    title: "The graphics device was lost; reading goes on.",
    text: `The engine was started again ${where}. The ${committed} chunk${committed === 1 ? "" : "s"} scored before stay as they are.${how}`,
    detail: "device-lost",
  };
}
