// The contract between the page and the worker that runs the model. One worker, one model, one job at a time.

/** Stable codes: the page chooses words by them, never by the message. */
export type ErrorCode =
  | "not-an-artifact" | "corrupt-artifact" | "newer-version" | "too-large" | "no-model" | "empty-text"
  /** The tokenizer drops or invents bytes on this text, so its BPB would not be honest; learning left the numbers. */
  | "lossy-text" | "diverged"
  | "device-lost" | "out-of-memory" | "no-adapter" | "aborted" | "busy" | "internal";

export class EngineError extends Error {
  constructor(readonly code: ErrorCode, message: string) { super(message); }
}

export interface Device {
  backend: "webgpu" | "cpu";
  /** Adapter or instruction set, such as "swiftshader" or "wasm simd128". */
  name: string;
  /** Why this backend, in words for a user. */
  reason: string;
  features: string[];
}

export interface TensorInfo { name: string; shape: number[]; bits: number; codec: string; rawBytes: number; storedBytes: number }

export interface Model {
  bytes: number;                 // of the artifact file
  sha256: string;
  params: number;
  bitsPerWeight: number;
  window: number;
  vocab: number;
  config: Record<string, unknown>;
  tensors: TensorInfo[];
  provenance: Record<string, string>;
}

/** One scored target. Text of a token may be part of a character: then `text` is shown as its bytes. */
export interface Token { id: number; text: string; bytes: number; bits: number }

export interface ChunkScored { chunk: number; chunks: number; tokens: Token[]; bits: number; bytes: number; seconds: number }
export interface ChunkLearned { chunk: number; steps: number; seconds: number }

export interface Alternative { text: string; id: number; probability: number }

export interface ScoreOptions {
  /** Score-first adaptation between chunks. */
  learn?: { lr: number; epochs: number; optimizer: "sgd" | "adamw" };
  /** Default: the model's window. A smaller chunk also shortens the context to a chunk. */
  chunkTokens?: number;
  signal?: AbortSignal;
}

export type ScoreEvent = { kind: "scored"; value: ChunkScored } | { kind: "learned"; value: ChunkLearned };

export interface Compressed { gzip: number; zstd: number; bytes: number }

export interface WriteOptions { temperature: number; topK: number; seed: number; tokens: number; signal?: AbortSignal }
export interface Written { text: string; tokens: number; seconds: number; firstTokenSeconds: number }

export interface Memory { buffers: number; wasm: number }

export interface Engine {
  readonly device: Device;
  load(bytes: Uint8Array<ArrayBuffer>): Promise<Model>;
  score(text: string, options: ScoreOptions): AsyncIterable<ScoreEvent>;
  /** The five likeliest tokens at target `index` of the last fixed (not learning) score. */
  alternatives(index: number): Promise<Alternative[]>;
  write(prompt: string, options: WriteOptions, emit: (text: string) => void): Promise<Written>;
  compress(text: string): Promise<Compressed>;
  memory(): Promise<Memory>;
  /** Destroys the GPU device on purpose: how the tests reach "device-lost". */
  loseDevice(): Promise<void>;
  close(): void;
}

/** Starts the worker. `"auto"` takes a GPU that is worth it, otherwise the CPU; `"cpu"` never asks for an adapter;
 *  `"webgpu"` takes any adapter, software too, and fails with "no-adapter" when there is none. After "device-lost", start again and load again. */
export { startEngine } from "./engine/client";
