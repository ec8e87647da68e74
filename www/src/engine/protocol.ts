// What client and worker say to each other: numbered calls, their events and their ends.

import type { Alternative, Compressed, Device, ErrorCode, Memory, Model, ScoreEvent, Written } from "../engine";

/** What a score is asked for; the signal stays with the client. */
export interface ScoreRequest {
  learn?: { lr: number; epochs: number; optimizer: "sgd" | "adamw" } | undefined;
  chunkTokens?: number | undefined;
}

export interface WriteRequest { temperature: number; topK: number; seed: number; tokens: number }

/** Every call by name: its arguments, its events and its result. */
export interface Calls {
  open: { args: [prefer: "auto" | "cpu" | "webgpu"]; event: never; result: Device };
  load: { args: [bytes: Uint8Array<ArrayBuffer>]; event: never; result: Model };
  score: { args: [text: string, options: ScoreRequest]; event: ScoreEvent; result: null };
  alternatives: { args: [index: number]; event: never; result: Alternative[] };
  write: { args: [prompt: string, options: WriteRequest]; event: string; result: Written };
  compress: { args: [text: string]; event: never; result: Compressed };
  memory: { args: []; event: never; result: Memory };
  loseDevice: { args: []; event: never; result: null };
}

export type Name = keyof Calls;

/** To the worker: a call, or the wish that call `stop` ends. */
export type Request = { [N in Name]: { call: number; name: N; args: Calls[N]["args"] } }[Name] | { stop: number };

/** From the worker. */
export type Reply =
  | { call: number; event: unknown }
  | { call: number; result: unknown }
  | { call: number; error: { code: ErrorCode; message: string } };
