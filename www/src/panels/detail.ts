// What stands beside a heat map: the token in question, its exact figures, the likeliest tokens in its place.

import { h, pairs } from "../dom.ts";
import type { Alternative, Token } from "../engine.ts";
import { bits, percent, shown } from "../format.ts";
import type { Session } from "../session.ts";
import type { Page, ReadingKey } from "../state.ts";
import { bars } from "../views/bars.ts";
import { wordsFor } from "../words.ts";

/** Pause before the engine is asked: a pointer that only passes asks nothing. */
const PAUSE_MS = 120;

export interface Detail {
  element: HTMLElement;
  show(index: number, token: Token): void;
  clear(): void;
}

export function detail(page: Page, session: Session, key: ReadingKey): Detail {
  const known = new Map<number, Alternative[]>();
  const card = h("div", { class: "field" });
  const list = h("div", { class: "alternatives field" });
  const element = h("aside", { class: "detail-card", "aria-label": "Token" }, card, list);
  let wanted = -1;
  let timer = 0;

  function showAlternatives(index: number, token: Token): void {
    const found = known.get(index);
    if (found === undefined) {
      list.replaceChildren(h("p", { class: "small muted" }, reasonForNone(page, key)));
      return;
    }
    const rows = found.map((one) => ({
      name: shown(one.text),
      value: one.probability,
      figure: percent(one.probability),
      ours: one.id === token.id,
    }));
    list.replaceChildren(h("h3", {}, "Expected instead"), bars(rows));
  }

  async function ask(index: number, token: Token): Promise<void> {
    if (page.get().askable !== key || known.has(index)) return;
    try {
      const answer = await session.ask((engine) => engine.alternatives(index));
      if (answer !== null) known.set(index, answer);
      if (wanted === index) showAlternatives(index, token);
    } catch (error) {
      if (wanted === index) list.replaceChildren(h("p", { class: "small muted" }, wordsFor(error).title));
    }
  }

  const clear = (): void => {
    known.clear();
    wanted = -1;
    clearTimeout(timer);
    card.replaceChildren(
      h("p", { class: "small muted" }, "Point at a token, or walk the text with the arrow keys, for its exact figures."),
    );
    list.replaceChildren();
  };
  clear();
  return {
    element,
    clear,
    show(index, token) {
      if (wanted === index && known.has(index)) return;
      wanted = index;
      card.replaceChildren(...figures(token));
      showAlternatives(index, token);
      clearTimeout(timer);
      timer = window.setTimeout(() => void ask(index, token), PAUSE_MS);
    },
  };
}

function reasonForNone(page: Page, key: ReadingKey): string {
  if (page.get().job !== null) return "Alternatives come when the reading has ended.";
  return page.get().askable === key ? "Asking the model\u2026" : "Read the text again to see alternatives.";
}

function figures(token: Token): HTMLElement[] {
  return [
    h("p", { class: "word" }, shown(token.text)),
    pairs([
      ["Surprise", `${bits(token.bits)} bits`],
      ["Probability", percent(2 ** -token.bits)],
      ["Bytes", token.bytes === 0 ? "0" : `${token.bytes} (${bits(token.bits / token.bytes)} bits each)`],
    ]),
  ];
}
