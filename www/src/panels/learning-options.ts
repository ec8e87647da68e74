// How the weights learn: rule, rate, passes.

import { field, h } from "../dom.ts";
import type { Learning } from "../session.ts";

const RATES: Record<Learning["optimizer"], number> = { adamw: 1e-3, sgd: 2e-3 };

export function learningOptions(): { element: HTMLElement; chosen(): Learning } {
  const optimizer = h(
    "select",
    { onchange: () => (rate.value = String(RATES[rule()])) },
    h("option", { value: "adamw" }, "AdamW"),
    h("option", { value: "sgd" }, "SGD, momentum 0.9"),
  );
  const rate = h("input", { type: "number", min: 0.00001, max: 0.1, step: "any", value: RATES.adamw, inputmode: "decimal" });
  const epochs = h("input", { type: "number", min: 1, max: 10, step: 1, value: 2, inputmode: "numeric" });
  const rule = (): Learning["optimizer"] => (optimizer.value === "sgd" ? "sgd" : "adamw");
  const within = (input: HTMLInputElement, fallback: number): number => {
    const value = input.valueAsNumber;
    const allowed = Number.isFinite(value) && value >= Number(input.min) && value <= Number(input.max);
    if (!allowed) input.value = String(fallback);
    return allowed ? value : fallback;
  };
  return {
    element: h("div", { class: "knobs" }, field("Rule", optimizer), field("Learning rate", rate), field("Passes", epochs)),
    chosen: () => ({ optimizer: rule(), lr: within(rate, RATES[rule()]), epochs: Math.round(within(epochs, 2)) }),
  };
}
