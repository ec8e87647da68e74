// Sums over scored chunks. Bits per byte is always total bits over total bytes, never a mean of means.

import type { ChunkScored, Token } from "./engine.ts";

export interface Total {
  bits: number;
  bytes: number;
  tokens: number;
  seconds: number;
}

export interface Point {
  /** Bytes read so far. */
  bytes: number;
  /** Bits per byte over all of them. */
  bpb: number;
}

export function total(chunks: readonly ChunkScored[]): Total {
  const sum: Total = { bits: 0, bytes: 0, tokens: 0, seconds: 0 };
  for (const chunk of chunks) {
    sum.bits += chunk.bits;
    sum.bytes += chunk.bytes;
    sum.tokens += chunk.tokens.length;
    sum.seconds += chunk.seconds;
  }
  return sum;
}

export function bitsPerByte(sum: { bits: number; bytes: number }): number {
  return sum.bytes > 0 ? sum.bits / sum.bytes : 0;
}

/** Running bits per byte after each chunk. */
export function running(chunks: readonly ChunkScored[]): Point[] {
  let bits = 0;
  let bytes = 0;
  return chunks.map((chunk) => {
    bits += chunk.bits;
    bytes += chunk.bytes;
    return { bytes, bpb: bitsPerByte({ bits, bytes }) };
  });
}

/** Indices of the most surprising tokens, first the worst. */
export function mostSurprising(tokens: readonly Token[], howMany: number): number[] {
  return tokens
    .map((token, index) => ({ bits: token.bits, index, blank: token.text.trim() === "" }))
    .filter((entry) => !entry.blank)
    .sort((a, b) => b.bits - a.bits || a.index - b.index)
    .slice(0, howMany)
    .map((entry) => entry.index);
}
