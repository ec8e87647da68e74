// Inspect: what is in the file, byte by byte, against the cap.

import { h, pairs } from "../dom.ts";
import type { Model, TensorInfo } from "../engine.ts";
import { bytes, count, grouped } from "../format.ts";
import type { Loaded, Page } from "../state.ts";
import { framed } from "./frame.ts";

export const CAP = 16_000_000;

export interface Part {
  name: string;
  bytes: number;
}

/** What the stored bytes are spent on, by role of the tensor; the rest is configuration, tokenizer and provenance. */
export function parts(model: Model): Part[] {
  const roles: [string, (name: string) => boolean][] = [
    ["Attention", (name) => name.includes(".attn.")],
    ["Feed-forward", (name) => name.includes(".mlp.")],
    ["Embeddings and head", (name) => /emb|head|lm_/.test(name)],
    ["Other weights", () => true],
  ];
  const sums = new Map<string, number>(roles.map(([name]) => [name, 0]));
  for (const tensor of model.tensors) {
    const role = roles.find(([, matches]) => matches(tensor.name))?.[0] ?? "Other weights";
    sums.set(role, (sums.get(role) ?? 0) + tensor.storedBytes);
  }
  const weights = [...sums].map(([name, size]) => ({ name, bytes: size })).filter((part) => part.bytes > 0);
  const stored = weights.reduce((sum, part) => sum + part.bytes, 0);
  return [...weights, { name: "Tokenizer, configuration and the rest", bytes: Math.max(0, model.bytes - stored) }];
}

export interface CodecSum {
  codec: string;
  bits: number;
  tensors: number;
  rawBytes: number;
  storedBytes: number;
}

export function byCodec(tensors: readonly TensorInfo[]): CodecSum[] {
  const sums = new Map<string, CodecSum>();
  for (const { codec, bits, rawBytes, storedBytes } of tensors) {
    const key = `${codec}/${bits}`;
    const sum = sums.get(key) ?? { codec, bits, tensors: 0, rawBytes: 0, storedBytes: 0 };
    sums.set(key, {
      ...sum,
      tensors: sum.tensors + 1,
      rawBytes: sum.rawBytes + rawBytes,
      storedBytes: sum.storedBytes + storedBytes,
    });
  }
  return [...sums.values()].sort((a, b) => b.storedBytes - a.storedBytes);
}

export function inspectPanel(page: Page): HTMLElement {
  const body = h("div", { class: "panel" });
  const element = framed("Inspect", "What is in the file, byte by byte, against the cap of 16,000,000.", body);
  page.watch(
    (state) => state.loaded,
    (loaded) =>
      body.replaceChildren(
        ...(loaded === null ? [h("p", { class: "muted" }, "Load a model to look inside it.")] : contents(loaded)),
      ),
  );
  return element;
}

function contents({ name, model, listed }: Loaded): HTMLElement[] {
  const provenance = { ...listed?.provenance, ...model.provenance };
  const over = model.bytes > CAP;
  return [
    h(
      "dl",
      { class: "figures" },
      figure("File", bytes(model.bytes), over ? "over the cap" : `${((100 * model.bytes) / CAP).toFixed(1)}% of the cap`),
      figure("Parameters", count(model.params), ""),
      figure("Bits per weight", model.bitsPerWeight.toFixed(2), "all included"),
      figure("Window", grouped(model.window), "tokens"),
      figure("Vocabulary", grouped(model.vocab), "pieces"),
    ),
    capBar(model),
    h(
      "section",
      {},
      h("h3", {}, "Provenance"),
      pairs([["name", name], ["sha256", h("code", {}, model.sha256)], ...Object.entries(provenance)]),
    ),
    h(
      "section",
      {},
      h("h3", {}, "Configuration"),
      pairs(
        Object.entries(model.config).map(([key, value]) => [key, plain(value)]),
        "dense",
      ),
    ),
    tableOf(
      "Sizes by codec",
      ["Codec", "Bits", "Tensors", "Raw bytes", "Stored bytes", "Ratio"],
      1,
      byCodec(model.tensors).map((sum) => [
        sum.codec,
        String(sum.bits),
        String(sum.tensors),
        grouped(sum.rawBytes),
        grouped(sum.storedBytes),
        ratio(sum),
      ]),
    ),
    h("details", {}, h("summary", {}, `Every tensor (${model.tensors.length})`), tensorTable(model.tensors)),
  ];
}

function tensorTable(tensors: readonly TensorInfo[]): HTMLElement {
  return tableOf(
    "Many tensors share a compressed section: stored bytes are each one's estimated part of it.",
    ["Tensor", "Shape", "Bits", "Codec", "Raw bytes", "Stored bytes", "Ratio"],
    2,
    tensors.map((one) => [
      one.name,
      one.shape.length === 0 ? "scalar" : one.shape.join(" \u00d7 "),
      String(one.bits),
      one.codec,
      grouped(one.rawBytes),
      grouped(one.storedBytes),
      ratio(one),
    ]),
  );
}

function figure(term: string, value: string, note: string): HTMLElement {
  return h("div", {}, h("dt", {}, term), h("dd", {}, value, note === "" ? null : h("small", {}, ` ${note}`)));
}

function plain(value: unknown): string {
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function ratio(size: { rawBytes: number; storedBytes: number }): string {
  return size.rawBytes > 0 ? (size.storedBytes / size.rawBytes).toFixed(3) : "\u2013";
}

/** The file against the cap, part by part; the empty rest is what may still be spent. */
function capBar(model: Model): HTMLElement {
  const all = parts(model);
  const whole = Math.max(CAP, model.bytes);
  const tint = (at: number): string => `var(--heat-${Math.max(0, 5 - at)})`;
  const segments = all.map((part, at) => {
    const segment = h("span");
    segment.style.width = `${(100 * part.bytes) / whole}%`;
    segment.style.background = tint(at);
    return segment;
  });
  const free = Math.max(0, CAP - model.bytes);
  const rows = all.map((part, at) => {
    const swatch = h("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = tint(at);
    return h("div", {}, h("dt", {}, swatch, part.name), h("dd", {}, `${grouped(part.bytes)} bytes`));
  });
  const empty = h(
    "div",
    {},
    h("dt", {}, h("span", { class: "swatch", "aria-hidden": "true" }), model.bytes > CAP ? "Over the cap" : "Free under the cap"),
    h("dd", {}, `${grouped(model.bytes > CAP ? model.bytes - CAP : free)} bytes`),
  );
  return h(
    "section",
    {},
    h("h3", {}, `${grouped(model.bytes)} of ${grouped(CAP)} bytes`),
    h("div", { class: "stack", "aria-hidden": "true" }, ...segments),
    h("dl", { class: "pairs sizes" }, ...rows, empty),
  );
}

/** A table that scrolls sideways by itself; the columns from `numbersFrom` on are numbers, save the codec's name. */
function tableOf(
  caption: string,
  heads: readonly string[],
  numbersFrom: number,
  rows: readonly (readonly string[])[],
): HTMLElement {
  const kind = (at: number): string => (at >= numbersFrom && heads[at] !== "Codec" ? "number" : "");
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, ...heads.map((head, at) => h("th", { scope: "col", class: kind(at) }, head)))),
      h(
        "tbody",
        {},
        ...rows.map((row) =>
          h(
            "tr",
            {},
            ...row.map((text, at) => h(at === 0 ? "th" : "td", at === 0 ? { scope: "row" } : { class: kind(at) }, text)),
          ),
        ),
      ),
    ),
  );
}
