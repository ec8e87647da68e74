// A file over the network, counted and checked. Invariant: what is returned has the promised length and hash; what is not
// whole is never returned, so never cached.

import { sha256 } from "./digest.ts";

export type ModelErrorCode = "no-manifest" | "unreachable" | "refused" | "truncated" | "too-long" | "wrong-hash";

export class ModelError extends Error {
  constructor(
    readonly code: ModelErrorCode,
    message: string,
    readonly received: number | null = null,
    readonly expected: number | null = null,
  ) {
    super(message);
  }
}

export interface Promised {
  bytes: number;
  sha256: string;
}

export interface Transfer {
  signal: AbortSignal;
  progress(received: number): void;
}

export async function download(url: string, promised: Promised, transfer: Transfer): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, { signal: transfer.signal }).catch((error: unknown) => {
    transfer.signal.throwIfAborted();
    throw new ModelError("unreachable", String(error));
  });
  if (!response.ok || response.body === null) throw new ModelError("refused", `status ${response.status} for ${url}`);
  const file = await collect(response.body, promised.bytes, transfer);
  await check(file, promised);
  return file;
}

async function collect(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  expected: number,
  transfer: Transfer,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = new Uint8Array(expected);
  let received = 0;
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (received + value.length > expected) {
        throw new ModelError("too-long", `more than ${expected} bytes`);
      }
      file.set(value, received);
      received += value.length;
      transfer.progress(received);
    }
  } catch (error) {
    transfer.signal.throwIfAborted();
    if (error instanceof ModelError) throw error;
    throw new ModelError("truncated", String(error), received, expected);
  } finally {
    // The stream may hold a connection open that nobody reads any more.
    await reader.cancel().catch(() => undefined);
  }
  if (received !== expected) throw new ModelError("truncated", "the stream ended early", received, expected);
  return file;
}

/** Throws unless the file is the promised one. */
export async function check(file: Uint8Array<ArrayBuffer>, promised: Promised): Promise<void> {
  if (file.length !== promised.bytes) {
    throw new ModelError("truncated", "wrong length", file.length, promised.bytes);
  }
  const actual = await sha256(file);
  if (actual !== null && actual !== promised.sha256) {
    throw new ModelError("wrong-hash", `expected ${promised.sha256}, got ${actual}`);
  }
}
