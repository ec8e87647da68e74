// Tabs after the ARIA pattern: one tab stop, arrows move and choose. The address keeps the choice (#read), so back and reload work.

import { h } from "../dom.ts";

export interface Tab {
  id: string;
  name: string;
  panel: HTMLElement;
}

export interface Tabs {
  list: HTMLElement;
  /** Chooses a tab; `focus` moves the keyboard into its panel. */
  show(id: string, focus?: boolean): void;
}

export function tabs(label: string, all: readonly [Tab, ...Tab[]]): Tabs {
  const buttons = all.map(({ id, name, panel }, at) => {
    panel.id = id;
    panel.tabIndex = -1;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", `tab-${id}`);
    return h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${id}`,
        "aria-controls": id,
        onclick: () => choose(at),
        onkeydown: (event: KeyboardEvent) => move(event, at),
      },
      name,
    );
  });

  function choose(at: number): void {
    all.forEach(({ panel }, index) => {
      panel.hidden = index !== at;
      buttons[index]?.setAttribute("aria-selected", String(index === at));
      if (buttons[index]) buttons[index].tabIndex = index === at ? 0 : -1;
    });
    const id = all[at]?.id ?? "";
    if (location.hash !== `#${id}`) history.replaceState(null, "", `#${id}`);
  }

  function move(event: KeyboardEvent, at: number): void {
    const last = all.length - 1;
    const target = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    choose(target);
    buttons[target]?.focus();
  }

  const byHash = (): number =>
    Math.max(
      0,
      all.findIndex(({ id }) => `#${id}` === location.hash),
    );
  addEventListener("hashchange", () => choose(byHash()));
  choose(byHash());
  return {
    list: h("div", { class: "tabs", role: "tablist", "aria-label": label }, ...buttons),
    show(id, focus = false) {
      const at = all.findIndex((tab) => tab.id === id);
      if (at < 0) return;
      choose(at);
      if (focus) all[at]?.panel.focus({ preventScroll: true });
    },
  };
}
