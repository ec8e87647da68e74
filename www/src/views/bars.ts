// Horizontal bars that share one scale: a definition list, so that the figures are text and the bars are decoration.

import { h } from "../dom.ts";

export interface Bar {
  name: string;
  value: number;
  figure: string;
  ours?: boolean;
}

export function bars(rows: readonly Bar[]): HTMLElement {
  const largest = Math.max(...rows.map((row) => row.value), 1e-12);
  return h(
    "dl",
    { class: "bars" },
    ...rows.map((row) => {
      const fill = h("span");
      fill.style.width = `${(100 * row.value) / largest}%`;
      return h(
        "div",
        { class: row.ours === true ? "ours" : "other" },
        h("dt", {}, row.name),
        h("dd", { class: "bar", "aria-hidden": "true" }, fill),
        h("dd", {}, h("data", { value: row.value }, row.figure)),
      );
    }),
  );
}
