// Read: the heat map of a text, and the model beside two compressors.

import { h } from "../dom.ts";
import { bpb, bytes, grouped, rate, seconds } from "../format.ts";
import type { Session } from "../session.ts";
import type { Page, Reading, Sizes } from "../state.ts";
import { bitsPerByte, total } from "../stats.ts";
import { type Bar, bars } from "../views/bars.ts";
import { runButton } from "../views/run-button.ts";
import { textSource } from "../views/text-source.ts";
import { framed } from "./frame.ts";
import { textMap } from "./text-map.ts";

const JOB = "Reading the text";

export interface ReadPanel {
  element: HTMLElement;
  start(): Promise<void>;
}

export function readPanel(page: Page, session: Session): ReadPanel {
  const source = textSource("johnson-1966");
  const map = textMap(page, session);
  const result = h("section", { "aria-label": "Result" });

  async function start(): Promise<void> {
    const text = source.text();
    await session.run(JOB, async (engine, signal) => {
      const compressed = await engine.compress(text);
      page.set({ sizes: { ...compressed, text } });
      await session.read("fixed", text, { signal });
    });
  }

  page.watch(
    (state) => state.fixed,
    (reading) => {
      map.show(reading);
      result.replaceChildren(...summary(reading, page.get().sizes));
    },
  );
  const run = runButton({
    page,
    label: "Read",
    job: JOB,
    start: () => void start(),
    stop: () => session.stop(),
    needsModel: true,
  });
  const element = framed(
    "Read",
    "How many bits each token costs the model, given everything before it. Few bits: expected. Many: a surprise.",
    h("div", { class: "columns" }, h("section", {}, source.element, h("div", { class: "row" }, run.element)), result),
    map.element,
  );
  return { element, start };
}

function summary(reading: Reading | null, sizes: Sizes | null): HTMLElement[] {
  if (reading === null || reading.chunks.length === 0) {
    return [h("p", { class: "muted" }, "Bits per byte, beside gzip and zstd on the same bytes, appear here.")];
  }
  const sum = total(reading.chunks);
  const rows: Bar[] = [{ name: "this model", value: bitsPerByte(sum), figure: bpb(bitsPerByte(sum)), ours: true }];
  if (sizes !== null && sizes.text === reading.text && sizes.bytes > 0) {
    rows.push({ name: "gzip -9", value: (8 * sizes.gzip) / sizes.bytes, figure: bpb((8 * sizes.gzip) / sizes.bytes) });
    rows.push({ name: "zstd -19", value: (8 * sizes.zstd) / sizes.bytes, figure: bpb((8 * sizes.zstd) / sizes.bytes) });
  }
  const part = reading.complete ? "" : `, ${reading.chunks.length} of ${reading.of} chunks so far`;
  return [
    h("h3", {}, "Bits per byte, fewer is better"),
    bars(rows),
    h(
      "p",
      { class: "small muted result-note" },
      `${grouped(sum.tokens)} tokens, ${bytes(sum.bytes)}${part}. Read in ${seconds(sum.seconds)}, ${rate(sum.tokens, sum.seconds)} tokens per second. The model's own size is not charged, nor are the compressors' programs.`,
    ),
  ];
}
