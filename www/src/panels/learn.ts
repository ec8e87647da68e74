// Learn: the same text twice, with fixed weights and learning as it reads. Each chunk is scored before anything is learned from it.

import { h } from "../dom.ts";
import type { Session } from "../session.ts";
import type { Page } from "../state.ts";
import { runButton } from "../views/run-button.ts";
import { textSource } from "../views/text-source.ts";
import { comparison } from "./comparison.ts";
import { framed } from "./frame.ts";
import { gains } from "./gains.ts";
import { learningOptions } from "./learning-options.ts";

const JOB = "Learning from the text";

export function learnPanel(page: Page, session: Session): HTMLElement {
  const source = textSource("orvane");
  const options = learningOptions(page);
  const compared = comparison();
  const gained = gains();

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
    compared.show(before, learning);
    gained.show(before, learning);
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
  return framed(
    "Learn",
    "The same text, twice: once with fixed weights, once with weights that learn from every chunk after it is scored, never before. The score is honest; what comes later gets easier.",
    h(
      "div",
      { class: "columns" },
      source.element,
      h("section", {}, options.element, h("div", { class: "row" }, run.element), compared.status),
    ),
    ...compared.elements,
    gained.element,
    compared.table,
  );
}
