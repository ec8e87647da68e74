// Elements from plain calls. No templating, no diffing: every view keeps its own nodes and changes them.

export type Attributes = Record<string, string | number | boolean | null | ((event: never) => void)>;
export type Child = Node | string | null;

const SVG = "http://www.w3.org/2000/svg";

function fill(element: Element, attributes: Attributes, children: readonly Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value as EventListener);
    } else if (value !== null && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null));
}

/** An HTML element. `onclick: f` listens; `true` is an empty attribute; `false` and `null` are no attribute. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/** An SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag) as SVGElementTagNameMap[K];
  fill(element, attributes, children);
  return element;
}

let ids = 0;
/** An id that no other element has. */
export function freshId(stem: string): string {
  ids += 1;
  return `${stem}-${ids}`;
}

/** A label above its control. */
export function field(label: string, control: HTMLElement): HTMLElement {
  control.id ||= freshId("field");
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control);
}

/** Terms and their descriptions. */
export function pairs(rows: readonly (readonly [string, Child])[], kind = "pairs"): HTMLElement {
  return h("dl", { class: kind }, ...rows.map(([term, text]) => h("div", {}, h("dt", {}, term), h("dd", {}, text))));
}
