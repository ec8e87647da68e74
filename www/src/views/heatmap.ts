// A text whose tokens are shaded by a number. A list box of tokens with one tab stop: arrows walk tokens and lines, Home and End
// jump. It knows nothing of models: what a token's shade, number and words are is given from outside.

import type { Token } from "../engine.ts";
import { h } from "../dom.ts";

export interface Shade {
  level: number;
  /** Shown small beside the token when numbers are on. */
  number: string;
  /** Said by a screen reader. */
  spoken: string;
  /** Underlined instead of shaded: a token that got worse. */
  cost?: boolean;
}

export interface HeatmapOptions {
  label: string;
  empty: string;
  shade(index: number): Shade;
  /** A token is under the pointer or has the focus. */
  chosen(index: number): void;
}

export interface Heatmap {
  element: HTMLElement;
  append(tokens: readonly Token[]): void;
  clear(): void;
  /** Shades again, after the scale has changed. */
  reshade(): void;
  numbers(on: boolean): void;
  focus(index: number): void;
}

export function heatmap(options: HeatmapOptions): Heatmap {
  const element = h("div", { class: "heatmap", role: "group", "aria-label": options.label, "data-empty": options.empty });
  let spans: HTMLElement[] = [];
  let current = 0;

  function choose(index: number): void {
    mark(spans[current], false);
    current = index;
    mark(spans[index], true);
    options.chosen(index);
  }
  element.addEventListener("focusin", ({ target }) => {
    const index = indexOf(target);
    if (index >= 0) choose(index);
  });
  element.addEventListener("pointerover", ({ target, pointerType }) => {
    const index = indexOf(target);
    if (index >= 0 && pointerType === "mouse") options.chosen(index);
  });
  element.addEventListener("keydown", (event) => {
    const target = destination(event.key, spans, current);
    if (target === null) return;
    event.preventDefault();
    spans[target]?.focus();
  });

  return {
    element,
    append(tokens) {
      const fresh = tokens.map((token, at) => span(token, spans.length + at));
      fresh.forEach((one, at) => paint(one, options.shade(spans.length + at)));
      spans = [...spans, ...fresh];
      // An empty list box would be a control without content.
      element.setAttribute("role", spans.length > 0 ? "listbox" : "group");
      element.append(...fresh);
    },
    clear() {
      spans = [];
      current = 0;
      element.setAttribute("role", "group");
      element.replaceChildren();
    },
    reshade: () => spans.forEach((one, index) => paint(one, options.shade(index))),
    numbers: (on) => void element.toggleAttribute("data-numbers", on),
    focus: (index) => spans[index]?.focus(),
  };
}

function indexOf(target: EventTarget | null): number {
  const token = target instanceof Element ? target.closest<HTMLElement>(".token") : null;
  return token === null ? -1 : Number(token.dataset.index);
}

/** A token; only the first is reached by Tab until another is chosen. */
function span(token: Token, index: number): HTMLElement {
  const attributes = {
    class: "token",
    role: "option",
    tabindex: index === 0 ? 0 : -1,
    "aria-selected": "false",
    "data-index": index,
  };
  return h("span", attributes, ...visible(token));
}

function paint(element: HTMLElement, { level, number, spoken, cost }: Shade): void {
  element.dataset.level = String(level);
  element.dataset.number = number;
  element.toggleAttribute("data-cost", cost === true);
  element.setAttribute("aria-label", spoken);
}

function mark(element: HTMLElement | undefined, selected: boolean): void {
  element?.setAttribute("tabindex", selected ? "0" : "-1");
  element?.setAttribute("aria-selected", String(selected));
}

/** A line break keeps its place and shows a mark to hold the shade; a lone blank is a blank. */
function visible(token: Token): (Node | string)[] {
  return token.text.split(/(\n)/).map((part) => {
    if (part !== "\n") return part;
    return h("span", { class: "mark", "aria-hidden": "true" }, "\u21b5\n");
  });
}

/** Where a key leads from `current`, or null for a key that is not ours. */
function destination(key: string, spans: readonly HTMLElement[], current: number): number | null {
  const last = spans.length - 1;
  switch (key) {
    case "ArrowRight":
      return Math.min(last, current + 1);
    case "ArrowLeft":
      return Math.max(0, current - 1);
    case "Home":
      return 0;
    case "End":
      return last;
    case "ArrowDown":
      return onNextLine(spans, current, 1);
    case "ArrowUp":
      return onNextLine(spans, current, -1);
    default:
      return null;
  }
}

/** The token on the next line in `direction` that is nearest sideways. */
function onNextLine(spans: readonly HTMLElement[], current: number, direction: 1 | -1): number {
  const from = spans[current];
  if (from === undefined) return current;
  let line: number | null = null;
  let best = current;
  for (let index = current + direction; spans[index] !== undefined; index += direction) {
    const span = spans[index] as HTMLElement;
    if (Math.abs(span.offsetTop - from.offsetTop) < 4) continue;
    line ??= span.offsetTop;
    if (Math.abs(span.offsetTop - line) >= 4) break;
    const nearer =
      Math.abs(span.offsetLeft - from.offsetLeft) < Math.abs((spans[best] as HTMLElement).offsetLeft - from.offsetLeft);
    if (best === current || nearer) best = index;
  }
  return best;
}
