// The scale of surprise: from bits to one of seven levels, and words for both. Colours live in style/tokens.css.

import type { Token } from "./engine.ts";
import { bits, percent, shown } from "./format.ts";

export const LEVELS = 7;

export type Unit = "token" | "byte";

/** Bits per level. Two bits per token: each step is a token four times less probable. */
const STEP: Record<Unit, number> = { token: 2, byte: 1 };

export function valueOf(token: Token, unit: Unit): number {
  return unit === "token" ? token.bits : token.bytes > 0 ? token.bits / token.bytes : 0;
}

export function levelOf(value: number, unit: Unit): number {
  return Math.max(0, Math.min(LEVELS - 1, Math.floor(value / STEP[unit])));
}

export function legend(unit: Unit): string[] {
  const step = STEP[unit];
  return Array.from({ length: LEVELS }, (_, level) =>
    level === LEVELS - 1 ? `${level * step}+` : `${level * step}\u2013${(level + 1) * step}`,
  );
}

/** What a screen reader says of a token. */
export function spoken(token: Token): string {
  return `${shown(token.text)}, ${bits(token.bits)} bits, probability ${percent(2 ** -token.bits)}`;
}
