// A text: a sample or one's own.

import { bytes } from "../format.ts";
import { field, freshId, h } from "../dom.ts";
import { SAMPLES } from "../samples/index.ts";

/** Longer texts are cut: a page is not the place to wait an hour for. */
export const MAX_TEXT_BYTES = 65_536;

const OWN = "own";

export interface TextSource {
  element: HTMLElement;
  text(): string;
}

export function textSource(initial: string): TextSource {
  const area = h("textarea", { id: freshId("text"), rows: 5, spellcheck: "false", oninput: typed });
  const choice = h(
    "select",
    { onchange: picked },
    ...SAMPLES.map((sample) => h("option", { value: sample.id }, sample.name)),
    h("option", { value: OWN }, "Your own text"),
  );
  const length = h("span");

  function picked(): void {
    const sample = SAMPLES.find(({ id }) => id === choice.value);
    area.value = sample?.text ?? "";
    if (sample === undefined) area.focus();
    count();
  }

  function typed(): void {
    choice.value = SAMPLES.find(({ text }) => text === area.value)?.id ?? OWN;
    count();
  }

  function count(): void {
    const size = new TextEncoder().encode(area.value).length;
    const cut = size > MAX_TEXT_BYTES ? ` The first ${bytes(MAX_TEXT_BYTES)} are read.` : "";
    length.textContent = `, ${bytes(size)}.${cut}`;
  }

  choice.value = initial;
  picked();
  return {
    element: h(
      "section",
      {},
      field("Text", choice),
      h("div", { class: "field" }, h("label", { for: area.id }, "Paste or edit", length), area),
    ),
    text: () => cut(area.value),
  };
}

/** At most MAX_TEXT_BYTES, never inside a character. */
export function cut(text: string): string {
  const encoded = new TextEncoder().encode(text);
  if (encoded.length <= MAX_TEXT_BYTES) return text;
  const shortened = new TextDecoder().decode(encoded.subarray(0, MAX_TEXT_BYTES), { stream: true });
  return shortened;
}
