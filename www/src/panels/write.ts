// Write: the model goes on from a prompt.

import { field, h } from "../dom.ts";
import type { WriteOptions } from "../engine.ts";
import { rate, seconds } from "../format.ts";
import type { Session } from "../session.ts";
import type { Page } from "../state.ts";
import { number, slider } from "../views/knobs.ts";
import { runButton } from "../views/run-button.ts";
import { framed } from "./frame.ts";

const JOB = "Writing";
const SEEDS = 2 ** 31;

export function writePanel(page: Page, session: Session): HTMLElement {
  const prompt = h("textarea", { rows: 3, spellcheck: "false" }, "Fellow citizens, the state of the Union is");
  const knobs = samplingKnobs();
  const output = h("div", { class: "written", role: "region", "aria-label": "Written text", tabindex: 0 });
  const figures = h(
    "p",
    { class: "small muted", role: "status" },
    "Tokens per second and the time to the first token appear here.",
  );

  async function start(): Promise<void> {
    const written = h("span");
    output.replaceChildren(h("span", { class: "prompt" }, prompt.value), written);
    figures.textContent = "Writing\u2026";
    let pieces = 0;
    const result = await session.run(JOB, (engine, signal) =>
      engine.write(prompt.value, { ...knobs.chosen(), signal }, (text) => {
        pieces += 1;
        written.append(text);
        output.scrollTop = output.scrollHeight;
      }),
    );
    if (result === null) {
      figures.textContent =
        pieces === 0 ? "Stopped before the first token." : `Stopped after ${pieces} piece${pieces === 1 ? "" : "s"} of text.`;
      return;
    }
    figures.textContent = `${result.tokens} tokens in ${seconds(result.seconds)}: ${rate(result.tokens, result.seconds)} tokens per second, the first after ${seconds(result.firstTokenSeconds)}.`;
  }

  const run = runButton({
    page,
    label: "Write",
    job: JOB,
    start: () => void start(),
    stop: () => session.stop(),
    needsModel: true,
  });
  return framed(
    "Write",
    "The model goes on from your words. It is small and knows what it was trained on, little else. The same seed writes the same text.",
    h(
      "div",
      { class: "columns" },
      h("section", {}, field("Prompt", prompt), knobs.element, h("div", { class: "row" }, run.element)),
      h("section", {}, output, figures),
    ),
  );
}

/** How the next token is drawn, and how many. */
function samplingKnobs(): { element: HTMLElement; chosen(): Omit<WriteOptions, "signal"> } {
  const temperature = slider("Temperature", 0, 2, 0.05, 0.8, (value) => (value === 0 ? "0, greedy" : value.toFixed(2)));
  const topK = number("Top k, 0 for all", 0, 65_536, 40);
  const tokens = number("Tokens", 1, 2_048, 160);
  const seed = number("Seed", 0, SEEDS - 1, 1);
  const draw = (): void => void (seed.input.value = String(Math.floor(Math.random() * SEEDS)));
  const another = h("button", { type: "button", class: "link small", onclick: draw }, "Another seed");
  const seeded = h("div", { class: "field" }, seed.element, another);
  return {
    element: h("div", { class: "knobs" }, temperature.element, topK.element, tokens.element, seeded),
    chosen: () => ({ temperature: temperature.value(), topK: topK.value(), seed: seed.value(), tokens: tokens.value() }),
  };
}
