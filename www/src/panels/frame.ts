// What every panel shares: its frame, and above it the status line and the notice.

import { type Child, h } from "../dom.ts";
import { bytes } from "../format.ts";
import type { Page } from "../state.ts";

/** A panel with its heading and what it is about. */
export function framed(title: string, about: string, ...parts: Child[]): HTMLElement {
  return h("div", { class: "panel" }, h("header", {}, h("h2", {}, title), h("p", {}, about)), ...parts);
}

export function statusLine(page: Page, show: (tab: string) => void): HTMLElement {
  const model = h("span");
  const load = h("button", { type: "button", class: "link small to-load", onclick: () => show("load") }, "Load one");
  const device = h("span");
  const why = h("button", { type: "button", class: "link small", hidden: true, onclick: () => show("device") }, "Why the CPU?");
  const job = h("span", { class: "job", role: "status" });
  page.watch(
    (state) => state.loaded,
    (loaded) => {
      load.hidden = loaded !== null;
      model.textContent = loaded === null ? "No model is loaded." : `${loaded.name}, ${bytes(loaded.model.bytes)}`;
    },
  );
  page.watch(
    (state) => state.device,
    (found) => {
      device.textContent =
        found === null
          ? "Starting the engine\u2026"
          : found.backend === "webgpu"
            ? `WebGPU, ${found.name}`
            : `CPU, ${found.name}`;
      why.hidden = found?.backend !== "cpu";
    },
  );
  page.watch(
    (state) => state.job,
    (words) => {
      job.textContent = words === null ? "" : `${words}\u2026`;
    },
  );
  return h("div", { class: "status" }, h("span", {}, model, " ", load), h("span", {}, device, " ", why), job);
}

export function noticeBox(page: Page): HTMLElement {
  // Two regions that are always there: a live region that appears together with its words is often not read.
  const fault = h("div", { role: "alert" });
  const news = h("div", { role: "status" });
  page.watch(
    (state) => state.notice,
    (notice) => {
      fault.replaceChildren();
      news.replaceChildren();
      if (notice === null) return;
      const close = h("button", { type: "button", onclick: () => page.set({ notice: null }) }, "Dismiss");
      const detail = notice.detail === "" ? null : h("p", { class: "detail mono" }, notice.detail);
      (notice.kind === "fault" ? fault : news).append(
        h(
          "div",
          { class: "notice", "data-kind": notice.kind },
          h("strong", {}, notice.title),
          h("p", {}, notice.text),
          detail,
          h("div", { class: "actions" }, close),
        ),
      );
    },
  );
  return h("div", {}, fault, news);
}
