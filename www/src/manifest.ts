// The list of models beside the page: which there are, how long, with which hash.

import { ModelError, type Promised } from "./download.ts";

export interface Listed extends Promised {
  name: string;
  /** Where it is: the entry's `file`, beside the manifest. */
  url: string;
  about: string;
  provenance: Record<string, string>;
  /** A sentence as this model reads it, token by token; empty where the list has none. */
  specimen: readonly Piece[];
}

export interface Piece {
  text: string;
  bits: number;
}

/** Models of the manifest, the preferred one first: the largest that is there. */
export async function readManifest(url: string): Promise<Listed[]> {
  const unreadable = (cause: unknown): never => {
    throw new ModelError("no-manifest", cause instanceof Error ? cause.message : String(cause));
  };
  const response = await fetch(url, { cache: "no-cache" }).catch(unreadable);
  if (!response.ok) unreadable(`status ${response.status} for ${url}`);
  const json: unknown = await response.json().catch(unreadable);
  return parseManifest(json, url);
}

export function parseManifest(json: unknown, base: string): Listed[] {
  const entries: unknown = (json as { models?: unknown } | null)?.models;
  if (!Array.isArray(entries) || entries.length === 0) {
    throw new ModelError("no-manifest", "`models` must be a list with at least one entry");
  }
  return entries.map((entry, at) => parseEntry(entry, at, base)).sort((a, b) => b.bytes - a.bytes);
}

function parseEntry(entry: unknown, at: number, base: string): Listed {
  const fields = (entry ?? {}) as Record<string, unknown>;
  const bad = (what: string): never => {
    throw new ModelError("no-manifest", `models[${at}]: ${what}`);
  };
  const text = (key: string): string => {
    const value = fields[key];
    return typeof value === "string" ? value : bad(`\`${key}\` must be a string`);
  };
  const length = fields.bytes;
  if (typeof length !== "number" || !Number.isSafeInteger(length) || length <= 0) {
    return bad("`bytes` must be a positive whole number");
  }
  const hash = text("sha256");
  if (!/^[0-9a-f]{64}$/.test(hash)) bad("`sha256` must be 64 hexadecimal digits");
  const provenance: Record<string, string> = {};
  for (const [key, value] of Object.entries((fields.provenance ?? {}) as object)) provenance[key] = String(value);
  const about = typeof fields.about === "string" ? fields.about : "";
  const url = new URL(text("file"), base).href;
  return { name: text("name"), url, about, bytes: length, sha256: hash, provenance, specimen: parseSpecimen(fields.specimen) };
}

/** Pairs of text and bits; anything else is as good as none, for it only decorates. */
function parseSpecimen(value: unknown): Piece[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((pair: unknown) => {
    const [text, bits] = Array.isArray(pair) ? (pair as unknown[]) : [];
    return typeof text === "string" && typeof bits === "number" ? [{ text, bits }] : [];
  });
}
