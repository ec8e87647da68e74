import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { download } from "../../src/download.ts";

const FILE = Buffer.from("a file that stands for a model. ".repeat(4096));
const PROMISED = { bytes: FILE.length, sha256: createHash("sha256").update(FILE).digest("hex") };
let server: Server;
let base = "";

beforeAll(async () => {
  server = createServer((request, response) => {
    switch (request.url) {
      case "/whole":
        return void response.end(FILE);
      case "/cut": // promises the whole length and drops the connection half way
        response.writeHead(200, { "content-length": FILE.length });
        response.write(FILE.subarray(0, FILE.length / 2));
        return void setTimeout(() => response.destroy(), 20);
      case "/short": // ends properly, but too soon: a proxy that kept half a file
        return void response.end(FILE.subarray(0, FILE.length / 2));
      case "/long":
        return void response.end(Buffer.concat([FILE, FILE]));
      case "/changed":
        return void response.end(Buffer.from(FILE.toString("latin1").replace("model", "mOdel"), "latin1"));
      case "/slow":
        response.writeHead(200, { "content-length": FILE.length });
        return void response.write(FILE.subarray(0, 10));
      default:
        response.writeHead(404);
        return void response.end();
    }
  }).listen(0);
  await new Promise((ready) => server.once("listening", ready));
  base = `http://localhost:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function get(path: string, signal = new AbortController().signal, progress: (received: number) => void = () => undefined) {
  return download(base + path, PROMISED, { signal, progress });
}

test("a_whole_file_comes_with_its_progress", async () => {
  const seen: number[] = [];
  const file = await get("/whole", undefined, (received) => seen.push(received));
  expect(Buffer.from(file).equals(FILE)).toBe(true);
  expect(seen.at(-1)).toBe(FILE.length);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
});

test.each([
  ["/cut", "truncated"],
  ["/short", "truncated"],
  ["/long", "too-long"],
  ["/changed", "wrong-hash"],
  ["/missing", "refused"],
])("%s is refused as %s", async (path, code) => {
  await expect(get(path)).rejects.toMatchObject({ code });
});

test("a_truncated_file_says_how_much_came", async () => {
  await expect(get("/short")).rejects.toMatchObject({ received: FILE.length / 2, expected: FILE.length });
});

test("no_server_is_unreachable", async () => {
  const nowhere = download("http://localhost:9/model", PROMISED, {
    signal: new AbortController().signal,
    progress: () => undefined,
  });
  await expect(nowhere).rejects.toMatchObject({ code: "unreachable" });
});

test("a_stop_is_a_stop_and_not_a_truncation", async () => {
  const control = new AbortController();
  const coming = get("/slow", control.signal, () => control.abort());
  await expect(coming).rejects.toMatchObject({ name: "AbortError" });
});
