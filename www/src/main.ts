// The page: its parts put together. Nothing here computes.

import { h } from "./dom.ts";
import { devicePanel } from "./panels/device.ts";
import { noticeBox, statusLine } from "./panels/frame.ts";
import { inspectPanel } from "./panels/inspect.ts";
import { learnPanel } from "./panels/learn.ts";
import { loadPanel } from "./panels/load.ts";
import { readPanel } from "./panels/read.ts";
import { writePanel } from "./panels/write.ts";
import { Session } from "./session.ts";
import { createPage, type Prefer } from "./state.ts";
import { themeSwitch } from "./theme.ts";
import { type Tab, tabs } from "./views/tabs.ts";
import { wordsFor } from "./words.ts";

function preferred(): Prefer {
  const asked = new URLSearchParams(location.search).get("backend");
  return asked === "cpu" || asked === "webgpu" ? asked : "auto";
}

function compose(root: HTMLElement): void {
  const page = createPage();
  const session = new Session(page, preferred());
  const reading = readPanel(page, session);
  // The first model that loads shows at once what it is for.
  const loaded = (): void => {
    const wasHere = location.hash === "#load" || location.hash === "";
    if (!wasHere) return;
    parts.show("read", true);
    void reading.start();
  };
  const all: readonly [Tab, ...Tab[]] = [
    { id: "load", name: "Load", panel: loadPanel(page, session, loaded) },
    { id: "read", name: "Read", panel: reading.element },
    { id: "learn", name: "Learn", panel: learnPanel(page, session) },
    { id: "write", name: "Write", panel: writePanel(page, session) },
    { id: "inspect", name: "Inspect", panel: inspectPanel(page) },
    { id: "device", name: "Device", panel: devicePanel(page, session) },
  ];
  const parts = tabs("Parts of the page", all);
  const theme = h("button", { type: "button" });
  themeSwitch(theme);
  root.replaceChildren(
    h("header", { class: "masthead" }, h("h1", {}, "golf"), h("p", {}, "language models in 16,000,000 bytes"), theme),
    h(
      "main",
      {},
      parts.list,
      statusLine(page, (tab) => parts.show(tab, true)),
      noticeBox(page),
      ...all.map(({ panel }) => panel),
    ),
    h(
      "footer",
      {},
      h(
        "p",
        {},
        "Bits per byte are the model's own code length over the text's own UTF-8 bytes. No cookies, no tracking, nothing from other hosts.",
      ),
    ),
  );
  const unexpected = (error: unknown): void => page.set({ notice: { ...wordsFor(error), kind: "fault" } });
  addEventListener("unhandledrejection", (event) => unexpected(event.reason));
  addEventListener("error", (event) => unexpected(event.error ?? event.message));
}

const root = document.getElementById("page");
if (root === null) throw new Error("index.html has no #page");
compose(root);
