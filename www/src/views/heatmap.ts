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
  const element = h("div", {
    class: "heatmap",
    role: "group",
    "aria-label": options.label,
    "data-empty": options.empty,
    onkeydown: keyed,
    onfocusin: focused,
    onpointerover: hovered,
  });
  let spans: HTMLElement[] = [];
  let current = 0;

  const indexOf = (target: EventTarget | null): number => {
    const token = target instanceof Element ? target.closest<HTMLElement>(".token") : null;
    return token === null ? -1 : Number(token.dataset.index);
  };

  function paint(span: HTMLElement, index: number): void {
    const { level, number, spoken, cost } = options.shade(index);
    span.dataset.level = String(level);
    span.dataset.number = number;
    span.toggleAttribute("data-cost", cost === true);
    span.setAttribute("aria-label", spoken);
  }

  function choose(index: number): void {
    spans[current]?.setAttribute("tabindex", "-1");
    spans[current]?.setAttribute("aria-selected", "false");
    current = index;
    spans[index]?.setAttribute("tabindex", "0");
    spans[index]?.setAttribute("aria-selected", "true");
    options.chosen(index);
  }

  function focused(event: FocusEvent): void {
    const index = indexOf(event.target);
    if (index >= 0) choose(index);
  }

  function hovered(event: PointerEvent): void {
    const index = indexOf(event.target);
    if (index >= 0 && event.pointerType === "mouse") options.chosen(index);
  }

  function keyed(event: KeyboardEvent): void {
    const target = destination(event.key, spans, current);
    if (target === null) return;
    event.preventDefault();
    spans[target]?.focus();
  }

  return {
    element,
    append(tokens) {
      const fragment = document.createDocumentFragment();
      for (const token of tokens) {
        const index = spans.length;
        const span = h(
          "span",
          { class: "token", role: "option", tabindex: index === 0 ? 0 : -1, "aria-selected": "false", "data-index": index },
          ...visible(token),
        );
        paint(span, index);
        spans.push(span);
        fragment.append(span);
      }
      // An empty list box would be a control without content.
      element.setAttribute("role", spans.length > 0 ? "listbox" : "group");
      element.append(fragment);
    },
    clear() {
      spans = [];
      current = 0;
      element.setAttribute("role", "group");
      element.replaceChildren();
    },
    reshade: () => spans.forEach(paint),
    numbers: (on) => element.toggleAttribute("data-numbers", on),
    focus(index) {
      spans[index]?.focus();
    },
  };
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
