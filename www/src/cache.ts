// Downloaded models, kept by the browser under their hash. Invariant: what comes out was checked against the hash just now;
// a damaged entry is deleted on sight. Where the browser keeps nothing (private modes, plain http), every read is a miss.

import { check, type Promised } from "./download.ts";

const NAME = "golf-models-1";

export type Cached = { state: "hit"; file: Uint8Array<ArrayBuffer> } | { state: "miss" } | { state: "damaged" };

/** A path that no server is asked for: the key of an entry. */
function keyOf(promised: Promised): string {
  return new URL(`models/by-hash/${promised.sha256}`, location.href).href;
}

async function open(): Promise<Cache | null> {
  if (!("caches" in globalThis)) return null;
  return caches.open(NAME).catch(() => null);
}

export async function read(promised: Promised): Promise<Cached> {
  const cache = await open();
  const response = await cache?.match(keyOf(promised)).catch(() => undefined);
  if (cache === null || response === undefined) return { state: "miss" };
  try {
    const file = new Uint8Array(await response.arrayBuffer());
    await check(file, promised);
    return { state: "hit", file };
  } catch {
    await cache.delete(keyOf(promised));
    return { state: "damaged" };
  }
}

/** Whether the file is kept now: a full disk or a strict mode says no, which only costs the next visit a download. */
export async function write(promised: Promised, file: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const cache = await open();
  if (cache === null) return false;
  const headers = { "content-type": "application/octet-stream", "content-length": String(file.length) };
  return cache.put(keyOf(promised), new Response(file, { headers })).then(
    () => true,
    () => false,
  );
}

export async function holds(promised: Promised): Promise<boolean> {
  const found = await (await open())?.match(keyOf(promised)).catch(() => undefined);
  return found !== undefined;
}

/** Deletes every model this page keeps. */
export async function clear(): Promise<void> {
  if ("caches" in globalThis) await caches.delete(NAME);
}
