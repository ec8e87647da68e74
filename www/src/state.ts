// What the page knows. Views read it through the store; only the session and the panels' own jobs write it.

import type { ChunkLearned, ChunkScored, Device, Model } from "./engine.ts";
import type { Listed } from "./manifest.ts";
import type { Words } from "./words.ts";
import { createStore, type Store } from "./store.ts";

/** What the user wants to compute on; `webgpu` takes a software adapter too. */
export type Prefer = "auto" | "cpu" | "webgpu";

export interface Loaded {
  name: string;
  model: Model;
  /** The manifest's entry, or null for a file of the user's. */
  listed: Listed | null;
}

export interface Notice extends Words {
  detail: string;
  /** `fault`: announced at once. `news`: when the reader pauses. */
  kind: "fault" | "news";
}

/** A text being scored or scored, with fixed weights or learning. */
export interface Reading {
  text: string;
  chunks: readonly ChunkScored[];
  learned: readonly ChunkLearned[];
  /** Chunks in all; 0 until the first is scored. */
  of: number;
  complete: boolean;
}

/** Of Read; of Learn with fixed weights; of Learn, learning. */
export type ReadingKey = "fixed" | "before" | "learning";

export interface Sizes {
  text: string;
  gzip: number;
  zstd: number;
  bytes: number;
}

export interface State {
  device: Device | null;
  loaded: Loaded | null;
  /** What runs now, in words; null: nothing. */
  job: string | null;
  notice: Notice | null;
  fixed: Reading | null;
  before: Reading | null;
  learning: Reading | null;
  /** The reading whose tokens the engine can explain: the last one with fixed weights. */
  askable: ReadingKey | null;
  sizes: Sizes | null;
}

export type Page = Store<State>;

export function createPage(): Page {
  return createStore<State>({
    device: null,
    loaded: null,
    job: null,
    notice: null,
    fixed: null,
    before: null,
    learning: null,
    askable: null,
    sizes: null,
  });
}

export function emptyReading(text: string): Reading {
  return { text, chunks: [], learned: [], of: 0, complete: false };
}
