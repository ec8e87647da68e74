// How the weights learn: rule, rate, passes, and how much is read between two lessons.

import { field, h } from "../dom.ts";
import type { ScoreOptions } from "../engine.ts";
import type { Page } from "../state.ts";

type Learn = NonNullable<ScoreOptions["learn"]>;

export interface LearningChoice {
  learn: Learn;
  chunkTokens: number;
}

const RATES: Record<Learn["optimizer"], number> = { adamw: 1e-3, sgd: 2e-3 };
const EPOCHS = 2;
/** Short, so that a page of text has lessons; a chunk is at most the model's window. */
const CHUNK = 128;

export function learningOptions(page: Page): { element: HTMLElement; chosen(): LearningChoice } {
  const rule = (): Learn["optimizer"] => (optimizer.value === "sgd" ? "sgd" : "adamw");
  const optimizer = h(
    "select",
    { onchange: () => (rate.value = String(RATES[rule()])) },
    h("option", { value: "adamw" }, "AdamW"),
    h("option", { value: "sgd" }, "SGD, momentum 0.9"),
  );
  const rate = h("input", { type: "number", min: 0.00001, max: 0.1, step: "any", value: RATES.adamw, inputmode: "decimal" });
  const epochs = h("input", { type: "number", min: 1, max: 10, step: 1, value: EPOCHS, inputmode: "numeric" });
  const chunk = h("input", { type: "number", min: 8, step: 1, inputmode: "numeric" });
  page.watch(
    (state) => state.loaded?.model.window ?? CHUNK,
    (window) => {
      chunk.max = String(window);
      chunk.value = String(Math.min(window, CHUNK));
    },
  );
  return {
    element: h(
      "div",
      { class: "field" },
      h(
        "div",
        { class: "knobs" },
        field("Rule", optimizer),
        field("Learning rate", rate),
        field("Passes", epochs),
        field("Tokens a chunk", chunk),
      ),
      h(
        "p",
        { class: "small muted" },
        "A chunk is scored with the context it holds itself: longer ones see more, shorter ones learn sooner.",
      ),
    ),
    chosen: () => ({
      learn: { optimizer: rule(), lr: within(rate, RATES[rule()]), epochs: Math.round(within(epochs, EPOCHS)) },
      chunkTokens: Math.round(within(chunk, Math.min(CHUNK, Number(chunk.max)))),
    }),
  };
}

/** The number in `input` if its own bounds allow it, else `fallback`, which then also stands in it. */
function within(input: HTMLInputElement, fallback: number): number {
  const value = input.valueAsNumber;
  if (Number.isFinite(value) && value >= Number(input.min) && value <= Number(input.max)) return value;
  input.value = String(fallback);
  return fallback;
}
