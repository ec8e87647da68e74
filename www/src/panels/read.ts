// Read: the heat map of a text, and the model beside two compressors.

import { h } from "../dom.ts";
import type { Token } from "../engine.ts";
import { bits, bpb, bytes, grouped, rate, seconds, shown } from "../format.ts";
import { legend, levelOf, spoken, type Unit, valueOf } from "../heat.ts";
import type { Session } from "../session.ts";
import type { Page, Reading, Sizes } from "../state.ts";
import { bitsPerByte, mostSurprising, total } from "../stats.ts";
import { type Bar, bars } from "../views/bars.ts";
import { heatmap } from "../views/heatmap.ts";
import { runButton } from "../views/run-button.ts";
import { textSource } from "../views/text-source.ts";
import { detail } from "./detail.ts";

const JOB = "Reading the text";
const SURPRISES = 8;

export interface ReadPanel {
  element: HTMLElement;
  start(): Promise<void>;
}

export function readPanel(page: Page, session: Session): ReadPanel {
  const source = textSource("johnson-1966");
  const card = detail(page, session, "fixed");
  const scale = scaleChoice(() => map.reshade());
  let tokens: Token[] = [];
  const map = heatmap({
    label: "The text, token by token",
    empty: "The text appears here, shaded by surprise.",
    shade: (index) => {
      const token = tokens[index] as Token;
      const value = valueOf(token, scale.unit());
      return { level: levelOf(value, scale.unit()), number: bits(value), spoken: spoken(token) };
    },
    chosen: (index) => card.show(index, tokens[index] as Token),
  });
  const numbers = h("input", { type: "checkbox", id: "read-numbers", onchange: () => map.numbers(numbers.checked) });
  const result = h("section", { "aria-label": "Result" });
  const surprises = h("section", { "aria-label": "Most surprising tokens", hidden: true });

  async function start(): Promise<void> {
    const text = source.text();
    await session.run(JOB, async (engine, signal) => {
      const compressed = await engine.compress(text);
      page.set({ sizes: { ...compressed, text } });
      await session.read("fixed", text, { signal });
    });
  }

  let drawn: Reading | null = null;
  page.watch(
    (state) => state.fixed,
    (reading) => {
      if (reading === null || drawn === null || reading.text !== drawn.text || reading.chunks.length < drawn.chunks.length) {
        tokens = [];
        map.clear();
        card.clear();
      }
      const fresh = (reading?.chunks ?? [])
        .slice(tokens.length === 0 ? 0 : (drawn?.chunks.length ?? 0))
        .flatMap((chunk) => chunk.tokens);
      tokens = [...tokens, ...fresh];
      map.append(fresh);
      drawn = reading;
      result.replaceChildren(...summary(reading, page.get().sizes));
      showSurprises(reading);
    },
  );

  function showSurprises(reading: Reading | null): void {
    surprises.hidden = reading === null || !reading.complete;
    if (surprises.hidden) return;
    const entries = mostSurprising(tokens, SURPRISES).map((index) => {
      const token = tokens[index] as Token;
      return h(
        "li",
        {},
        h("button", { type: "button", class: "link", onclick: () => map.focus(index) }, shown(token.text.trim())),
        h("small", { class: "muted" }, ` ${bits(token.bits)}`),
      );
    });
    surprises.replaceChildren(h("h3", {}, "Most surprising, in bits"), h("ol", { class: "surprises" }, ...entries));
  }

  const run = runButton({
    page,
    label: "Read",
    job: JOB,
    start: () => void start(),
    stop: () => session.stop(),
    needsModel: true,
  });
  const element = h(
    "div",
    { class: "panel" },
    h(
      "header",
      {},
      h("h2", {}, "Read"),
      h("p", {}, "How many bits each token costs the model, given everything before it. Few bits: expected. Many: a surprise."),
    ),
    h("div", { class: "columns" }, h("section", {}, source.element, h("div", { class: "row" }, run.element)), result),
    h(
      "div",
      { class: "beside" },
      h(
        "section",
        {},
        scale.element,
        h("label", { class: "choice small", for: "read-numbers" }, numbers, "Show the figures in the text"),
        map.element,
        surprises,
      ),
      card.element,
    ),
  );
  return { element, start };
}

/** Bits per token or per byte, with the legend of the one that is on. */
function scaleChoice(changed: () => void): { element: HTMLElement; unit(): Unit } {
  let unit: Unit = "token";
  const key = h("ol", { class: "legend", "aria-label": "Scale of surprise" });
  const select = h(
    "select",
    {
      "aria-label": "Shade by",
      onchange: () => {
        unit = select.value === "byte" ? "byte" : "token";
        show();
        changed();
      },
    },
    h("option", { value: "token" }, "bits per token"),
    h("option", { value: "byte" }, "bits per byte"),
  );
  select.classList.add("narrow");
  const show = (): void =>
    key.replaceChildren(...legend(unit).map((range, level) => h("li", { class: "token", "data-level": level }, range)));
  show();
  return { element: h("div", { class: "row" }, select, key), unit: () => unit };
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
