// Two readings of one text side by side: totals, running rates, chunks, a table of every chunk.

import { h } from "../dom.ts";
import { bpb, bytes, seconds, signed } from "../format.ts";
import type { Reading } from "../state.ts";
import { bitsPerByte, running, total } from "../stats.ts";
import { plot } from "../views/plot.ts";
import { chunkStrip } from "./chunks.ts";

export interface Comparison {
  /** What happens right now, in words. */
  status: HTMLElement;
  elements: HTMLElement[];
  table: HTMLElement;
  show(before: Reading | null, learning: Reading | null): void;
}

const NONE = "\u2013";

export function comparison(): Comparison {
  const chart = plot();
  const strips = { before: chunkStrip("Fixed weights", "fixed"), learning: chunkStrip("Learning", "learning") };
  const sums = totals();
  const said = h("p", { class: "small muted", role: "status" });
  const body = h("tbody");
  const chunks = h(
    "section",
    {},
    h("div", { class: "columns" }, strips.before.element, strips.learning.element),
    h(
      "p",
      { class: "key" },
      h("span", {}, h("i"), "not read"),
      h("span", {}, h("i", { "data-state": "scored" }), "scored"),
      h("span", {}, h("i", { "data-state": "learned" }), "scored, then learned"),
    ),
  );
  const scroller = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Every chunk" };
  return {
    status: said,
    elements: [sums.element, h("div", {}, chart.element), chunks],
    table: h("details", {}, h("summary", {}, "Every chunk as a table"), h("div", scroller, h("table", {}, tableHead(), body))),
    show(before, learning) {
      strips.before.show(before);
      strips.learning.show(learning);
      said.textContent = status(before, learning);
      const words = sums.show(before, learning);
      chart.draw(
        [
          { name: "fixed weights", kind: "fixed", points: running(before?.chunks ?? []) },
          { name: "learning", kind: "learning", points: running(learning?.chunks ?? []) },
        ],
        expectedBytes(before),
        words,
      );
      body.replaceChildren(...rows(before, learning));
    },
  };
}

/** The three figures; `show` gives them back as a sentence. */
function totals(): { element: HTMLElement; show(before: Reading | null, learning: Reading | null): string } {
  const figures = { before: h("dd"), learning: h("dd"), gain: h("dd") };
  return {
    element: h(
      "dl",
      { class: "figures" },
      h("div", {}, h("dt", {}, "Fixed weights"), figures.before),
      h("div", {}, h("dt", {}, "Learning"), figures.learning),
      h("div", {}, h("dt", {}, "Difference"), figures.gain),
    ),
    show(before, learning) {
      const fixed = total(before?.chunks ?? []);
      const learned = total(learning?.chunks ?? []);
      // The difference is over the chunks that learning has reached: the same bytes on both sides.
      const same = total((before?.chunks ?? []).slice(0, learning?.chunks.length ?? 0));
      const any = learned.bytes > 0;
      figures.before.replaceChildren(fixed.bytes > 0 ? exact(bitsPerByte(fixed)) : NONE);
      figures.learning.replaceChildren(any ? exact(bitsPerByte(learned)) : NONE);
      figures.gain.textContent = any ? signed(bitsPerByte(learned) - bitsPerByte(same)) : NONE;
      if (!any) return "Running bits per byte, with fixed weights and learning";
      const rates = `Fixed weights: ${bpb(bitsPerByte(same))}. Learning: ${bpb(bitsPerByte(learned))}`;
      return `Running bits per byte. ${rates}, after ${bytes(learned.bytes)}.`;
    },
  };
}

function expectedBytes(before: Reading | null): number {
  const scored = total(before?.chunks ?? []).bytes;
  return Math.max(scored, new TextEncoder().encode(before?.text ?? "").length);
}

function status(before: Reading | null, learning: Reading | null): string {
  if (before === null) return "";
  if (!before.complete) return `Fixed weights: chunk ${before.chunks.length} of ${before.of || "?"} scored.`;
  if (learning === null || learning.chunks.length === 0) return "Fixed weights: done. Now learning.";
  const spent = seconds(total(learning.chunks).seconds + learning.learned.reduce((sum, one) => sum + one.seconds, 0));
  if (learning.complete) return `Done: ${learning.of} chunks scored, ${learning.learned.length} learned from, ${spent}.`;
  const at = learning.chunks.length;
  return learning.learned.length < at
    ? `Chunk ${at} of ${learning.of}: scored, now learning from it.`
    : `Chunk ${at} of ${learning.of}: learned. Scoring the next.`;
}

/** A figure as it is read, with all its digits behind it. */
function exact(value: number): HTMLElement {
  return h("data", { value }, bpb(value));
}

function tableHead(): HTMLElement {
  const heads = ["Chunk", "Bytes", "Fixed", "Learning", "Difference", "Steps after"];
  return h(
    "thead",
    {},
    h("tr", {}, ...heads.map((name, at) => h("th", { scope: "col", class: at === 0 ? "" : "number" }, name))),
  );
}

function rows(before: Reading | null, learning: Reading | null): HTMLElement[] {
  return (before?.chunks ?? []).map((chunk, at) => {
    const other = learning?.chunks[at];
    const steps = learning?.learned.find((one) => one.chunk === chunk.chunk)?.steps;
    const cells = [
      String(chunk.bytes),
      exact(bitsPerByte(chunk)),
      other === undefined ? NONE : exact(bitsPerByte(other)),
      other === undefined ? NONE : signed(bitsPerByte(other) - bitsPerByte(chunk)),
      steps === undefined ? NONE : String(steps),
    ];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, String(chunk.chunk + 1)),
      ...cells.map((text) => h("td", { class: "number" }, text)),
    );
  });
}
