// Controls for one number each: a slider, a whole number with bounds.

import { field, freshId, h } from "../dom.ts";

export interface Knob {
  element: HTMLElement;
  value(): number;
}

export function slider(
  label: string,
  min: number,
  max: number,
  step: number,
  initial: number,
  words: (value: number) => string,
): Knob {
  const id = freshId("slider");
  const shown = h("output", { for: id });
  const input = h("input", { type: "range", id, min, max, step, value: initial, oninput: show });
  function show(): void {
    shown.textContent = words(input.valueAsNumber);
    input.setAttribute("aria-valuetext", words(input.valueAsNumber));
  }
  show();
  return {
    element: h("div", { class: "field" }, h("label", { for: id }, label, ": ", shown), input),
    value: () => input.valueAsNumber,
  };
}

/** A whole number; what is out of range goes to the nearest that is not. */
export function number(label: string, min: number, max: number, initial: number): Knob & { input: HTMLInputElement } {
  const input = h("input", { type: "number", min, max, step: 1, value: initial, inputmode: "numeric" });
  return {
    input,
    element: field(label, input),
    value() {
      const raw = Number.isFinite(input.valueAsNumber) ? Math.round(input.valueAsNumber) : initial;
      const value = Math.min(max, Math.max(min, raw));
      input.value = String(value);
      return value;
    },
  };
}
