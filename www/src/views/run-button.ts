// The one button of a job: starts it, and stops it while it runs. A click sets the job before it returns. While another job runs it says so instead of acting; it stays
// focusable, so that the keyboard never falls off the page.

import { h } from "../dom.ts";
import type { Page } from "../state.ts";

export interface RunButton {
  element: HTMLButtonElement;
}

export interface RunButtonOptions {
  page: Page;
  label: string;
  /** The job's words while it runs, to know it as ours. */
  job: string;
  start(): void;
  stop(): void;
  needsModel: boolean;
}

export function runButton(options: RunButtonOptions): RunButton {
  const { page, label, job } = options;
  const element = h("button", { type: "button", class: "primary", onclick: press }, label);
  const ours = (): boolean => page.get().job === job;
  const blocked = (): boolean => (page.get().job !== null && !ours()) || (options.needsModel && page.get().loaded === null);

  function press(): void {
    if (ours()) options.stop();
    else if (!blocked()) options.start();
  }

  const render = (): void => {
    element.textContent = ours() ? "Stop" : label;
    element.toggleAttribute("data-running", ours());
    element.setAttribute("aria-disabled", String(blocked()));
    element.title = !blocked() ? "" : page.get().loaded === null ? "Load a model first" : `Running: ${page.get().job ?? ""}`;
  };
  page.watch((state) => state.job, render);
  page.watch((state) => state.loaded, render);
  return { element };
}
