// Device: what computes, why, how much memory it holds, and how to get WebGPU where it is missing.

import { h, pairs } from "../dom.ts";
import type { Device, Memory } from "../engine.ts";
import { bytes } from "../format.ts";
import type { Session } from "../session.ts";
import type { Page, Prefer } from "../state.ts";
import { framed } from "./frame.ts";

const BROWSERS: readonly [string, string][] = [
  [
    "Chrome, Edge",
    "On by default on Windows, macOS and ChromeOS since 113, on Android since 121. On Linux it depends on the driver: chrome://flags has \u201cUnsafe WebGPU Support\u201d and \u201cVulkan\u201d, and chrome://gpu tells why it is off.",
  ],
  ["Safari", "On by default since 26 (macOS, iOS, iPadOS, visionOS). Before: Settings, Feature Flags, WebGPU."],
  [
    "Firefox",
    "On by default on Windows since 141 and on Macs with Apple silicon since 145. Elsewhere: about:config, set dom.webgpu.enabled to true.",
  ],
  [
    "Everywhere",
    "Hardware acceleration must be on in the browser's settings, and the page must come over https or from localhost.",
  ],
];

export function devicePanel(page: Page, session: Session): HTMLElement {
  const facts = h("section");
  const memory = h("section");
  const lose = h(
    "button",
    { type: "button", onclick: () => void session.loseDevice().catch(() => undefined) },
    "Lose the device now",
  );
  const tryLoss = h(
    "details",
    {},
    h("summary", {}, "Try what happens when the device is lost"),
    h(
      "p",
      { class: "muted" },
      "Destroys the graphics device on purpose, also in the middle of reading. The page says so, starts again, and goes on from the last chunk it had scored.",
    ),
    lose,
  );

  async function measure(): Promise<void> {
    const figures = await session.ask((engine) => engine.memory()).catch(() => null);
    if (figures !== null) memory.replaceChildren(...memoryRows(figures));
  }
  page.watch(
    (state) => state.device,
    (device) => {
      facts.replaceChildren(...(device === null ? [h("p", { class: "muted" }, "Starting the engine\u2026")] : factsOf(device)));
      tryLoss.hidden = device?.backend !== "webgpu";
    },
  );
  page.watch(
    (state) => state.job,
    (job) => {
      if (job === null) void measure();
    },
  );
  return framed(
    "Device",
    "What computes, and why.",
    h("div", { class: "columns" }, h("section", {}, facts, choice(page, session)), h("section", {}, memory, tryLoss)),
    h("section", {}, h("h3", {}, "If WebGPU is missing"), pairs(BROWSERS)),
  );
}

function factsOf(device: Device): HTMLElement[] {
  return [
    h("h3", {}, "In use"),
    pairs([
      ["Backend", device.backend === "webgpu" ? "WebGPU" : "CPU, in WebAssembly"],
      ["Adapter", device.name],
      ["Why", device.reason],
      ["Features", device.features.length === 0 ? "none beyond the basics" : device.features.join(", ")],
    ]),
  ];
}

function memoryRows(figures: Memory): HTMLElement[] {
  return [
    h("h3", {}, "Memory"),
    pairs([
      ["Device buffers", bytes(figures.buffers)],
      ["WebAssembly", bytes(figures.wasm)],
    ]),
  ];
}

function choice(page: Page, session: Session): HTMLElement {
  const options: [Prefer, string][] = [
    ["auto", "WebGPU where there is a real adapter"],
    ["webgpu", "WebGPU, in software too"],
    ["cpu", "CPU only"],
  ];
  const inputs = options.map(([value, words]) => {
    const input = h("input", { type: "radio", name: "backend", value, onchange: () => void session.switchTo(value) });
    return { value, input, element: h("label", { class: "choice" }, input, words) };
  });
  page.watch(
    (state) => state.device,
    () => {
      for (const { value, input } of inputs) input.checked = session.preference === value;
    },
  );
  page.watch(
    (state) => state.job,
    (job) => {
      for (const { input } of inputs) input.disabled = job !== null;
    },
  );
  return h("fieldset", {}, h("legend", {}, "Compute on"), ...inputs.map(({ element }) => element));
}
