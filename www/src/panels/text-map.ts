// A reading as a shaded text: the scale, the tokens, the figures of one token, the most surprising ones.

import { h } from "../dom.ts";
import type { Token } from "../engine.ts";
import { bits, shown } from "../format.ts";
import { legend, levelOf, spoken, type Unit, valueOf } from "../heat.ts";
import type { Session } from "../session.ts";
import type { Page, Reading } from "../state.ts";
import { mostSurprising } from "../stats.ts";
import { heatmap } from "../views/heatmap.ts";
import { detail } from "./detail.ts";

const SURPRISES = 8;

export interface TextMap {
  element: HTMLElement;
  show(reading: Reading | null): void;
}

export function textMap(page: Page, session: Session): TextMap {
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
  const label = h("label", { class: "choice small", for: numbers.id }, numbers, "Show the figures in the text");
  const surprises = h("section", { "aria-label": "Most surprising tokens", hidden: true });
  let chunks = 0;

  return {
    element: h("div", { class: "beside" }, h("section", {}, scale.element, label, map.element, surprises), card.element),
    show(reading) {
      const all = reading?.chunks ?? [];
      // Fewer chunks than before: another reading has begun.
      if (all.length < chunks || all.length === 0) {
        [tokens, chunks] = [[], 0];
        map.clear();
        card.clear();
      }
      const fresh = all.slice(chunks).flatMap((chunk) => chunk.tokens);
      [tokens, chunks] = [[...tokens, ...fresh], all.length];
      map.append(fresh);
      surprises.hidden = reading === null || !reading.complete;
      if (!surprises.hidden) surprises.replaceChildren(...surprising(tokens, (index) => map.focus(index)));
    },
  };
}

/** Links to the tokens that cost the most. */
function surprising(tokens: readonly Token[], go: (index: number) => void): HTMLElement[] {
  const entries = mostSurprising(tokens, SURPRISES).map((index) => {
    const token = tokens[index] as Token;
    return h(
      "li",
      {},
      h("button", { type: "button", class: "link", onclick: () => go(index) }, shown(token.text.trim())),
      h("small", { class: "muted" }, ` ${bits(token.bits)}`),
    );
  });
  return [h("h3", {}, "Most surprising, in bits"), h("ol", { class: "surprises" }, ...entries)];
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
