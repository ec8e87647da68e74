// A row of boxes, one per chunk, with its bits per byte: dotted until read, outlined when scored, filled when learned.

import { h } from "../dom.ts";
import { bits, bpb } from "../format.ts";
import type { Reading } from "../state.ts";
import { bitsPerByte } from "../stats.ts";

export interface ChunkStrip {
  element: HTMLElement;
  show(reading: Reading | null): void;
}

export function chunkStrip(name: string, kind: "fixed" | "learning"): ChunkStrip {
  const list = h("ol", { class: `chunks ${kind}`, "aria-label": `Chunks, ${name.toLowerCase()}` });
  const none = h("p", { class: "small muted" }, "Not read yet.");
  return {
    element: h("section", {}, h("h3", {}, name), none, list),
    show(reading) {
      none.hidden = reading !== null && reading.of > 0;
      const learned = new Set(reading?.learned.map((one) => one.chunk));
      const boxes = Array.from({ length: reading?.of ?? 0 }, (_, at) => {
        const chunk = reading?.chunks[at];
        const state = chunk === undefined ? "waiting" : learned.has(chunk.chunk) ? "learned" : "scored";
        const figure =
          chunk === undefined
            ? "not read"
            : `${bpb(bitsPerByte(chunk))} bits per byte, ${state === "learned" ? "scored, then learned" : "scored"}`;
        return h(
          "li",
          { "data-state": state, title: `Chunk ${at + 1}: ${figure}` },
          h("span", { "aria-hidden": "true" }, chunk === undefined ? "" : bits(bitsPerByte(chunk))),
          h("span", { class: "unseen" }, `Chunk ${at + 1}: ${figure}`),
        );
      });
      list.replaceChildren(...boxes);
    },
  };
}
