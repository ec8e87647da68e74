// Load: the model that ships with the page, or the user's own file.

import * as cache from "../cache.ts";
import { h } from "../dom.ts";
import { download } from "../download.ts";
import { EngineError } from "../engine.ts";
import { bits, bytes, grouped } from "../format.ts";
import { levelOf } from "../heat.ts";
import { type Listed, readManifest } from "../manifest.ts";
import type { Session } from "../session.ts";
import type { Page } from "../state.ts";
import { bitsPerByte } from "../stats.ts";
import { progress } from "../views/progress.ts";
import { runButton } from "../views/run-button.ts";
import { wordsFor } from "../words.ts";

/** The cap of the challenge, and a little room for files that break it knowingly. */
const MAX_FILE_BYTES = 64_000_000;

/** A sentence in the shades of its surprise: what the page is about, before anything is loaded. */
function specimen({ name, specimen: pieces }: Listed): HTMLElement | null {
  if (pieces.length === 0) return null;
  const shaded = pieces.map(({ text, bits: cost }) => h("span", { class: "token", "data-level": levelOf(cost, "token") }, text));
  const rate = bitsPerByte({
    bits: pieces.reduce((sum, piece) => sum + piece.bits, 0),
    bytes: new TextEncoder().encode(pieces.map((piece) => piece.text).join("")).length,
  });
  return h(
    "figure",
    { class: "specimen" },
    h("p", {}, ...shaded),
    h(
      "figcaption",
      { class: "small muted" },
      `A sentence that ${name} has never seen, as it reads it: the stronger the shade, the less expected. ${bits(rate)} bits per byte.`,
    ),
  );
}

export function loadPanel(page: Page, session: Session, loaded: () => void): HTMLElement {
  const shelf = h("section", { "aria-label": "Models of this page" });
  const example = h("div");
  readManifest(new URL("models/manifest.json", document.baseURI).href).then(
    (models) => {
      shelf.replaceChildren(...models.map((model) => entry(page, session, model, loaded)));
      example.replaceChildren(
        ...models
          .slice(0, 1)
          .map(specimen)
          .filter((figure) => figure !== null),
      );
    },
    (error: unknown) => {
      const { title, text } = wordsFor(error);
      shelf.replaceChildren(h("p", {}, title), h("p", { class: "muted" }, text));
    },
  );
  return h(
    "div",
    { class: "panel" },
    h("h2", { class: "lead" }, "See where a language model of at most 16\u00a0MB is surprised, and watch it learn as it reads."),
    example,
    shelf,
    ownFile(session, loaded),
    h(
      "p",
      { class: "muted small" },
      "The model runs in this page, on your machine. What you type or drop here is not sent anywhere.",
    ),
  );
}

/** A listed model: its button, its progress, what the browser keeps of it. */
function entry(page: Page, session: Session, model: Listed, loaded: () => void): HTMLElement {
  const job = `Loading ${model.name}`;
  const bar = progress(job);
  bar.element.hidden = true;
  const kept = h("span", { class: "muted small" });
  const forget = h("button", { type: "button", class: "link small", hidden: true, onclick: drop }, "Delete cached model");

  async function showKept(): Promise<void> {
    const holds = await cache.holds(model);
    kept.textContent = holds ? "Kept in this browser." : "";
    forget.hidden = !holds;
  }
  async function drop(): Promise<void> {
    await cache.clear();
    await showKept();
    button.element.focus();
  }
  async function start(): Promise<void> {
    bar.element.hidden = false;
    const done = await session.run(job, async (_, signal) => {
      const show = (received: number, words: string): void => bar.set(received, model.bytes, words);
      show(0, "Looking in the browser's cache");
      const file = await obtain(page, model, signal, show);
      show(model.bytes, "Opening");
      await session.load(file, model.name, model);
      return true;
    });
    bar.element.hidden = true;
    await showKept();
    if (done === true) loaded();
  }

  const button = runButton({
    page,
    label: `Load ${bytes(model.bytes)}`,
    job,
    start,
    stop: () => session.stop(),
    needsModel: false,
  });
  void showKept();
  return h(
    "article",
    { class: "field" },
    h("p", {}, h("strong", {}, model.name), model.about === "" ? null : h("span", { class: "muted" }, ` \u2013 ${model.about}`)),
    h("div", { class: "row" }, button.element, kept, forget),
    bar.element,
  );
}

type Show = (received: number, words: string) => void;

/** From the cache when it is whole there, else over the network and into the cache. */
async function obtain(page: Page, model: Listed, signal: AbortSignal, show: Show): Promise<Uint8Array<ArrayBuffer>> {
  const cached = await cache.read(model);
  if (cached.state === "hit") return cached.file;
  if (cached.state === "damaged") {
    page.set({
      notice: {
        kind: "news",
        title: "The cached copy was damaged.",
        text: "Its SHA-256 did not match, so it was deleted and the model is downloaded again.",
        detail: "",
      },
    });
  }
  const file = await download(model.url, model, {
    signal,
    progress: (received) => show(received, `${grouped(received)} of ${grouped(model.bytes)} bytes`),
  });
  await cache.write(model, file);
  return file;
}

/** Choose or drop an artifact. */
function ownFile(session: Session, loaded: () => void): HTMLElement {
  const input = h("input", { type: "file", class: "unseen", tabindex: -1, "aria-hidden": "true", onchange: chosen });
  const choose = h("button", { type: "button", onclick: () => input.click() }, "Choose a file");
  const area = h(
    "div",
    { class: "drop", ondragover: over, ondragleave: () => area.removeAttribute("data-over"), ondrop: dropped },
    h("p", {}, "Or an artifact of your own: drop ", h("code", {}, "artifact.bin"), " here."),
    choose,
    input,
  );

  function over(event: DragEvent): void {
    event.preventDefault();
    area.setAttribute("data-over", "");
  }
  function dropped(event: DragEvent): void {
    event.preventDefault();
    area.removeAttribute("data-over");
    const file = event.dataTransfer?.files[0];
    if (file !== undefined) void open(file);
  }
  function chosen(): void {
    const file = input.files?.[0];
    input.value = "";
    if (file !== undefined) void open(file);
  }
  async function open(file: File): Promise<void> {
    const done = await session.run(`Opening ${file.name}`, async () => {
      if (file.size > MAX_FILE_BYTES) throw new EngineError("too-large", `${file.size} bytes, at most ${MAX_FILE_BYTES}`);
      const data = new Uint8Array(await file.arrayBuffer());
      await session.load(data, file.name, null);
      return true;
    });
    if (done === true) loaded();
  }
  return area;
}
