// Two running rates over bytes read: a small live line plot. The figures stand beside it as text and as a table.

import { svg } from "../dom.ts";
import { bytes } from "../format.ts";
import type { Point } from "../stats.ts";

export interface Line {
  name: string;
  kind: "fixed" | "learning";
  points: readonly Point[];
}

export interface Plot {
  element: SVGSVGElement;
  draw(lines: readonly Line[], of: number, words: string): void;
}

/** Room on the right for the names of the lines, which stand at their ends. */
const MARGIN = { left: 44, right: 96, top: 28, bottom: 30 };
/** Names closer than this would touch. */
const LINE_HEIGHT = 16;

interface Scale {
  x(value: number): number;
  y(value: number): number;
}

export function plot(): Plot {
  const element = svg("svg", { class: "plot", role: "img", "aria-label": "No figures yet" });
  let last: Parameters<Plot["draw"]> = [[], 0, "No figures yet"];

  function draw(lines: readonly Line[], of: number, words: string): void {
    last = [lines, of, words];
    const width = element.clientWidth || 640;
    const height = element.clientHeight || 272;
    element.setAttribute("viewBox", `0 0 ${width} ${height}`);
    element.setAttribute("aria-label", words);
    const values = lines.flatMap((line) => line.points.map((point) => point.bpb));
    if (values.length === 0) {
      element.replaceChildren(
        svg("path", { class: "rule", d: `M${MARGIN.left} ${height - MARGIN.bottom}H${width - MARGIN.right}` }),
      );
      return;
    }
    const ticks = niceTicks(Math.min(...values), Math.max(...values), 4);
    const low = ticks[0] ?? 0;
    const high = ticks[ticks.length - 1] ?? 1;
    const scale: Scale = {
      x: (value) => MARGIN.left + (value / Math.max(1, of)) * (width - MARGIN.left - MARGIN.right),
      y: (value) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom),
    };
    element.replaceChildren(
      ...axes(
        ticks,
        niceTicks(0, of, width > 480 ? 6 : 3).filter((tick) => tick <= of),
        scale,
        width,
        height,
      ),
      ...lines.flatMap((line) => drawn(line, scale)),
      ...names(lines, scale),
    );
  }

  new ResizeObserver(() => draw(...last)).observe(element);
  return { element, draw };
}

function axes(ys: number[], xs: number[], scale: Scale, width: number, height: number): SVGElement[] {
  const digits = Math.max(0, Math.ceil(-Math.log10((ys[1] ?? 1) - (ys[0] ?? 0))));
  const rules = ys.flatMap((tick) => [
    svg("path", { class: "rule", "stroke-width": 1, d: `M${MARGIN.left} ${scale.y(tick)}H${width - MARGIN.right}` }),
    svg("text", { x: MARGIN.left - 8, y: scale.y(tick) + 4, "text-anchor": "end" }, tick.toFixed(digits)),
  ]);
  const marks = xs.map((tick, at) =>
    svg(
      "text",
      { x: scale.x(tick), y: height - 8, "text-anchor": at === 0 ? "start" : "middle" },
      at === 0 ? "0 bytes read" : bytes(tick),
    ),
  );
  return [...rules, ...marks, svg("text", { x: 0, y: 11 }, "running bits per byte")];
}

function drawn(line: Line, scale: Scale): SVGElement[] {
  const at = line.points.map((point) => [scale.x(point.bytes), scale.y(point.bpb)] as const);
  const d = at.map(([x, y], index) => `${index === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const dots = at.length > 40 ? at.slice(-1) : at;
  return [svg("path", { class: line.kind, d }), ...dots.map(([cx, cy]) => svg("circle", { class: line.kind, cx, cy, r: 3.5 }))];
}

/** Each line's name beside its last point, pushed apart where they would overlap. */
function names(lines: readonly Line[], scale: Scale): SVGElement[] {
  const ends = lines
    .flatMap((line) => line.points.slice(-1).map((end) => ({ line, x: scale.x(end.bytes) + 10, y: scale.y(end.bpb) + 4 })))
    .sort((a, b) => a.y - b.y);
  const [upper, lower] = ends;
  if (upper !== undefined && lower !== undefined && Math.abs(upper.x - lower.x) < 90 && lower.y - upper.y < LINE_HEIGHT) {
    const middle = (upper.y + lower.y) / 2;
    upper.y = middle - LINE_HEIGHT / 2;
    lower.y = middle + LINE_HEIGHT / 2;
  }
  return ends.map(({ line, x, y }) => svg("text", { class: line.kind, x, y }, line.name));
}

/** About `wanted` round steps that enclose [low, high]. */
export function niceTicks(low: number, high: number, wanted: number): number[] {
  const span = Math.max(high - low, Math.abs(high) * 0.02, 1e-6);
  const raw = span / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) ?? 10 * power;
  const first = Math.floor(low / step);
  const steps = Math.max(1, Math.ceil(high / step - 1e-9) - first);
  return Array.from({ length: steps + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}
