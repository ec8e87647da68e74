// The text of a learning reading, shaded by the bits that learning saved on each token.

import { h } from "../dom.ts";
import type { Token } from "../engine.ts";
import { bits, percent, shown, signed } from "../format.ts";
import { LEVELS } from "../heat.ts";
import type { Reading } from "../state.ts";
import { heatmap, type Shade } from "../views/heatmap.ts";

/** Bits that are worth a shade or a mark. */
const WORTH = 0.5;

export interface Gains {
  element: HTMLElement;
  show(before: Reading | null, learning: Reading | null): void;
}

export function gains(): Gains {
  let tokens: readonly Token[] = [];
  let saved: readonly number[] = [];
  const hint = "Point at a token for its figures before and after.";
  const line = h("p", { class: "small" }, hint);
  const map = heatmap({
    label: "The text, shaded by what learning saved",
    empty: "",
    shade: (index) => shade(tokens[index] as Token, saved[index] ?? 0),
    chosen: (index) => (line.textContent = figures(tokens[index] as Token, saved[index] ?? 0)),
  });
  const title = "What learning changed: shaded where it saved bits, dotted where it cost some";
  const element = h("section", { hidden: true }, h("h3", {}, title), line, map.element);
  return {
    element,
    show(before, learning) {
      const done = before !== null && learning !== null && learning.complete;
      if (element.hidden && !done) return;
      element.hidden = !done;
      line.textContent = hint;
      map.clear();
      if (!done) return;
      tokens = learning.chunks.flatMap((chunk) => chunk.tokens);
      const fixed = before.chunks.flatMap((chunk) => chunk.tokens);
      saved = tokens.map((token, at) => (fixed[at]?.bits ?? token.bits) - token.bits);
      map.append(tokens);
    },
  };
}

/** Half a bit, one, two, four: each shade is twice the gain of the one before. */
function shade(token: Token, saved: number): Shade {
  const level = saved < WORTH ? 0 : Math.min(LEVELS - 1, Math.floor(Math.log2(saved / WORTH)) + 1);
  const words = saved >= 0 ? `${bits(saved)} bits saved` : `${bits(-saved)} bits more`;
  return { level, number: signed(-saved, 2), spoken: `${shown(token.text)}, ${words}`, cost: saved <= -WORTH };
}

function figures(token: Token, saved: number): string {
  const before = token.bits + saved;
  const chances = `probability ${percent(2 ** -before)} to ${percent(2 ** -token.bits)}`;
  return `${shown(token.text)}: ${bits(before)} bits with fixed weights, ${bits(token.bits)} learning; ${chances}.`;
}
