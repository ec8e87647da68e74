import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { LEVELS } from "../../src/heat.ts";

const css = readFileSync(new URL("../../src/style/tokens.css", import.meta.url), "utf8");
const themes = { light: block(":root {"), dark: block(':root[data-theme="dark"] {') };

function block(selector: string): Map<string, string> {
  const from = css.indexOf(selector);
  expect(from, `${selector} is in tokens.css`).toBeGreaterThanOrEqual(0);
  const body = css.slice(from, css.indexOf("}", from));
  return new Map([...body.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map((match) => [match[1] ?? "", match[2] ?? ""]));
}

function linear(hex: string): [number, number, number] {
  const channel = (at: number): number => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return [channel(1), channel(3), channel(5)];
}

/** WCAG 2 contrast. */
function contrast(a: string, b: string): number {
  const [bright, dark] = [a, b]
    .map((hex) => {
      const [r, g, blue] = linear(hex);
      return 0.2126 * r + 0.7152 * g + 0.0722 * blue + 0.05;
    })
    .sort((x, y) => y - x) as [number, number];
  return bright / dark;
}

/** L of OKLab. */
function lightness(hex: string): number {
  const [r, g, b] = linear(hex);
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return 0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s;
}

describe.each(Object.entries(themes))("%s theme", (_, colours) => {
  const colour = (name: string): string => {
    const found = colours.get(name);
    expect(found, name).toBeDefined();
    return found ?? "";
  };

  test("text_reads_on_every_ground", () => {
    for (const ground of ["paper", "panel"]) {
      for (const ink of ["ink", "muted", "accent"]) {
        expect(contrast(colour(ink), colour(ground)), `${ink} on ${ground}`).toBeGreaterThanOrEqual(4.5);
      }
      expect(contrast(colour("control"), colour(ground)), `control on ${ground}`).toBeGreaterThanOrEqual(3);
    }
    expect(contrast(colour("on-accent"), colour("accent"))).toBeGreaterThanOrEqual(4.5);
  });

  test("text_reads_on_every_heat", () => {
    for (let level = 0; level < LEVELS; level += 1) {
      expect(contrast(colour(`heat-ink-${level}`), colour(`heat-${level}`)), `level ${level}`).toBeGreaterThanOrEqual(4.5);
    }
  });

  test("heat_goes_one_way_in_even_steps", () => {
    const levels = Array.from({ length: LEVELS }, (_, level) => lightness(colour(`heat-${level}`)));
    const steps = levels.slice(1).map((value, at) => value - (levels[at] ?? 0));
    const mean = steps.reduce((sum, step) => sum + step, 0) / steps.length;
    expect(Math.abs(mean)).toBeGreaterThan(0.08);
    for (const step of steps) expect(Math.abs(step - mean)).toBeLessThan(0.01);
  });
});
