// A bar that fills, with its words below.

import { freshId, h } from "../dom.ts";

export interface Progress {
  element: HTMLElement;
  set(done: number, of: number, words: string): void;
}

export function progress(label: string): Progress {
  const bar = h("span");
  const id = freshId("progress");
  const words = h("p", { class: "small muted", id });
  const track = h(
    "div",
    {
      class: "progress",
      role: "progressbar",
      "aria-label": label,
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-describedby": id,
    },
    bar,
  );
  return {
    element: h("div", { class: "field" }, track, words),
    set(done, of, text) {
      const share = of > 0 ? Math.floor((100 * done) / of) : 0;
      bar.style.width = `${share}%`;
      track.setAttribute("aria-valuenow", String(share));
      words.textContent = text;
    },
  };
}
