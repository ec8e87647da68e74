// The built page under a static server that can be told to misbehave for one path. Headers as a plain static host sends them:
// no cross-origin isolation.

import { readFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

export interface Site {
  url: string;
  /** Answers instead of the file, by path below the page's folder. */
  instead: Map<string, RequestListener>;
  /** Paths asked for, in order. */
  asked: string[];
  close(): void;
}

/** Serves the page below a folder of the host, as project pages are. */
export async function serve(): Promise<Site> {
  const root = "/some/folder/";
  const instead = new Map<string, RequestListener>();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const name = normalize(path).startsWith(root) ? path.slice(root.length) || "index.html" : "";
    asked.push(name);
    const override = instead.get(name);
    if (override !== undefined) return override(request, response);
    readFile(join(DIST, name)).then(
      (body) => response.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((ready) => server.listen(0, ready));
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}${root}`,
    instead,
    asked,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
