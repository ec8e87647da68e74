// Plain words for every way things fail, chosen by code. Tests hold that no code is without words.

import { EngineError, type ErrorCode } from "./engine.ts";
import { bytes } from "./format.ts";
import { ModelError, type ModelErrorCode } from "./download.ts";

export interface Words {
  title: string;
  /** What happened and what to do about it. */
  text: string;
}

export const ENGINE_WORDS: Record<ErrorCode, Words> = {
  "not-an-artifact": {
    title: "This file is not a golf artifact.",
    text: "Choose the artifact.bin that golf-train or golf import wrote. Other model formats can be converted with golf import.",
  },
  "corrupt-artifact": {
    title: "This artifact is damaged.",
    text: "Its checksums or sizes do not add up, so nothing of it was used. Copy or download the file again.",
  },
  "newer-version": {
    title: "This artifact was written by a newer golf.",
    text: "Its major version is above the one this page reads. Open it in a newer copy of this page.",
  },
  "too-large": {
    title: "This is larger than the page can hold.",
    text: "The model or the text needs more memory than the limits allow. Try a smaller artifact or a shorter text.",
  },
  "no-model": { title: "No model is loaded.", text: "Load one under Load, then try again." },
  "lossy-text": {
    title: "The model's tokenizer does not know every character of this text.",
    text: "It would drop or invent bytes, so bits per byte would not be honest, and nothing was scored. Try a text in other characters.",
  },
  diverged: {
    title: "Learning went out of bounds.",
    text: "A weight became infinite or no number. Try a smaller learning rate or fewer passes; what was scored before stays.",
  },
  "empty-text": { title: "There is nothing to read.", text: "Paste a text or pick a sample." },
  "device-lost": {
    title: "The graphics device was lost.",
    text: "The browser or the driver took it away. The page has started again; what was scored before stays.",
  },
  "out-of-memory": {
    title: "There is not enough memory.",
    text: "Close other tabs that use the graphics card, read a shorter text, or switch to the CPU under Device.",
  },
  "no-adapter": {
    title: "There is no graphics adapter.",
    text: "The browser offers no WebGPU here. The CPU does the same sums, only slower: see Device.",
  },
  aborted: { title: "Stopped.", text: "What was done until then is kept." },
  busy: { title: "One job at a time.", text: "Stop what is running, or wait until it ends." },
  internal: {
    title: "Something broke in the engine.",
    text: "This is a fault of ours, not of your file. Load the model again; if it comes back, please report the line below.",
  },
};

export const MODEL_WORDS: Record<ModelErrorCode, Words> = {
  "no-manifest": {
    title: "The list of models is missing.",
    text: "The file models/manifest.json beside this page is missing or cannot be read. You can still choose an artifact of your own.",
  },
  unreachable: {
    title: "The model could not be reached.",
    text: "Check the connection and try again. Nothing was kept.",
  },
  refused: { title: "The server refused the model.", text: "The file is not where the list says. Nothing was kept." },
  truncated: {
    title: "The download ended too soon.",
    text: "Part of the file is missing, so none of it was kept. Try again.",
  },
  "too-long": {
    title: "The file is longer than the list says.",
    text: "It is not the file that was promised. Nothing was kept.",
  },
  "wrong-hash": {
    title: "The file is not the one that was promised.",
    text: "Its SHA-256 differs from the list. Nothing was kept.",
  },
};

/** Words for anything thrown; `detail` is for a report, not for reading. */
export function wordsFor(error: unknown): Words & { detail: string } {
  if (error instanceof EngineError) return { ...ENGINE_WORDS[error.code], detail: `${error.code}: ${error.message}` };
  if (error instanceof ModelError) {
    const { title, text } = MODEL_WORDS[error.code];
    const got = error.received !== null && error.expected !== null;
    const counts = got ? ` ${bytes(error.received ?? 0)} of ${bytes(error.expected ?? 0)} came.` : "";
    return { title, text: text + counts, detail: `${error.code}: ${error.message}` };
  }
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { title: "Something unexpected happened.", text: "The page goes on; try again.", detail };
}

/** Whether the user asked for this end. */
export function isStop(error: unknown): boolean {
  return (
    (error instanceof EngineError && error.code === "aborted") || (error instanceof DOMException && error.name === "AbortError")
  );
}
