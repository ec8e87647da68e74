// Learn: the same text twice, with fixed weights and learning as it reads. Each chunk is scored before anything is learned from it.

import { h } from "../dom.ts";
import { bpb, bytes, percent, seconds, signed, bits, shown } from "../format.ts";
import type { Token } from "../engine.ts";
import type { Session } from "../session.ts";
import type { Page, Reading } from "../state.ts";
import { bitsPerByte, running, total } from "../stats.ts";
import { heatmap } from "../views/heatmap.ts";
import { plot } from "../views/plot.ts";
import { runButton } from "../views/run-button.ts";
import { textSource } from "../views/text-source.ts";
import { chunkStrip } from "./chunks.ts";
import { learningOptions } from "./learning-options.ts";

const JOB = "Learning from the text";

export function learnPanel(page: Page, session: Session): HTMLElement {
  const source = textSource("glossary");
  const options = learningOptions(page);
  const chart = plot();
  const strips = { before: chunkStrip("Fixed weights", "fixed"), learning: chunkStrip("Learning", "learning") };
  const figures = { before: h("dd"), learning: h("dd"), gain: h("dd") };
  const said = h("p", { class: "small muted", role: "status" });
  const table = h("tbody");
  const gains = gainMap(page);

  async function start(): Promise<void> {
    const text = source.text();
    const { learn, chunkTokens } = options.chosen();
    page.set({ before: null, learning: null });
    await session.run(JOB, async (_, signal) => {
      await session.read("before", text, { chunkTokens, signal });
      await session.read("learning", text, { learn, chunkTokens, signal });
    });
  }

  function render(): void {
    const { before, learning } = page.get();
    strips.before.show(before);
    strips.learning.show(learning);
    const sums = { before: total(before?.chunks ?? []), learning: total(learning?.chunks ?? []) };
    // Both over the chunks that learning has reached: the same bytes on both sides.
    const same = total((before?.chunks ?? []).slice(0, learning?.chunks.length ?? 0));
    const gain = bitsPerByte(sums.learning) - bitsPerByte(same);
    figures.before.replaceChildren(sums.before.bytes > 0 ? exact(bitsPerByte(sums.before)) : "\u2013");
    figures.learning.replaceChildren(sums.learning.bytes > 0 ? exact(bitsPerByte(sums.learning)) : "\u2013");
    figures.gain.textContent = sums.learning.bytes > 0 ? signed(gain) : "\u2013";
    said.textContent = status(before, learning);
    const words =
      sums.learning.bytes > 0
        ? `Running bits per byte. Fixed weights: ${bpb(bitsPerByte(same))}. Learning: ${bpb(bitsPerByte(sums.learning))}, after ${bytes(sums.learning.bytes)}.`
        : "Running bits per byte, with fixed weights and learning";
    chart.draw(
      [
        { name: "fixed weights", kind: "fixed", points: running(before?.chunks ?? []) },
        { name: "learning", kind: "learning", points: running(learning?.chunks ?? []) },
      ],
      expectedBytes(before, source.text()),
      words,
    );
    table.replaceChildren(...rows(before, learning));
    gains.show();
  }
  page.watch((state) => state.before, render);
  page.watch((state) => state.learning, render);

  const run = runButton({
    page,
    label: "Read and learn",
    job: JOB,
    start: () => void start(),
    stop: () => session.stop(),
    needsModel: true,
  });
  return h(
    "div",
    { class: "panel" },
    h(
      "header",
      {},
      h("h2", {}, "Learn"),
      h(
        "p",
        {},
        "The same text, twice: once with fixed weights, once with weights that learn from every chunk after it is scored, never before. The score is honest; what comes later gets easier.",
      ),
    ),
    h(
      "div",
      { class: "columns" },
      source.element,
      h("section", {}, options.element, h("div", { class: "row" }, run.element), said),
    ),
    h(
      "dl",
      { class: "figures" },
      h("div", {}, h("dt", {}, "Fixed weights"), figures.before),
      h("div", {}, h("dt", {}, "Learning"), figures.learning),
      h("div", {}, h("dt", {}, "Difference"), figures.gain),
    ),
    chart.element,
    h(
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
    ),
    gains.element,
    h(
      "details",
      {},
      h("summary", {}, "Every chunk as a table"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Every chunk" }, h("table", {}, tableHead(), table)),
    ),
  );
}

function expectedBytes(before: Reading | null, text: string): number {
  const scored = total(before?.chunks ?? []).bytes;
  return Math.max(scored, new TextEncoder().encode(before?.text ?? text).length);
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
      other === undefined ? "\u2013" : exact(bitsPerByte(other)),
      other === undefined ? "\u2013" : signed(bitsPerByte(other) - bitsPerByte(chunk)),
      steps === undefined ? "\u2013" : String(steps),
    ];
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, String(chunk.chunk + 1)),
      ...cells.map((text) => h("td", { class: "number" }, text)),
    );
  });
}

/** The text, shaded by the bits that learning saved on each token. */
function gainMap(page: Page): { element: HTMLElement; show(): void } {
  let saved: number[] = [];
  let tokens: readonly Token[] = [];
  const map = heatmap({
    label: "The text, shaded by what learning saved",
    empty: "",
    shade: (index) => {
      const value = saved[index] ?? 0;
      const words = value >= 0 ? `${bits(value)} bits saved` : `${bits(-value)} bits more`;
      const level = value < 0.5 ? 0 : Math.min(6, Math.floor(Math.log2(value)) + 2);
      return { level, number: signed(-value, 2), spoken: `${shown(tokenAt(index)?.text ?? "")}, ${words}`, cost: value <= -0.5 };
    },
    chosen: (index) => {
      const token = tokenAt(index);
      if (token === undefined) return;
      const value = saved[index] ?? 0;
      line.textContent = `${shown(token.text)}: ${bits(token.bits + value)} bits with fixed weights, ${bits(token.bits)} learning; probability ${percent(2 ** -(token.bits + value))} to ${percent(2 ** -token.bits)}.`;
    },
  });
  const line = h("p", { class: "small" }, "Point at a token for its figures before and after.");
  const tokenAt = (index: number): Token | undefined => tokens[index];
  const element = h(
    "section",
    { hidden: true },
    h("h3", {}, "What learning changed: shaded where it saved bits, dotted where it cost some"),
    line,
    map.element,
  );
  return {
    element,
    show() {
      const { before, learning } = page.get();
      element.hidden = before === null || learning === null || !learning.complete;
      map.clear();
      if (element.hidden) return;
      tokens = learning?.chunks.flatMap((chunk) => chunk.tokens) ?? [];
      const fixed = before?.chunks.flatMap((chunk) => chunk.tokens) ?? [];
      saved = tokens.map((token, at) => (fixed[at]?.bits ?? token.bits) - token.bits);
      map.append(tokens);
    },
  };
}
