// The native evaluator on the same artifact: what the browser's figures are held against.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const WWW = fileURLToPath(new URL("../..", import.meta.url));

/** The model that the page prefers. */
export const MODEL = (() => {
  const list = JSON.parse(readFileSync(join(WWW, "dist/models/manifest.json"), "utf8")) as {
    models: { name: string; file: string; bytes: number }[];
  };
  const [largest] = list.models.sort((a, b) => b.bytes - a.bytes);
  if (largest === undefined) throw new Error("the manifest lists no model");
  return { ...largest, path: join(WWW, "dist/models", largest.file) };
})();

export const sample = (name: string): string => readFileSync(join(WWW, "src/samples", `${name}.txt`), "utf8");

const BINARY = process.env.GOLF_EVAL ?? join(process.env.CARGO_TARGET_DIR ?? join(WWW, "../target"), "release/golf-eval");

/** Whether it is there; said once where it is not. */
export const hasNative = existsSync(BINARY);
if (!hasNative) {
  console.warn(
    `skipped: comparisons, no native evaluator at ${BINARY}; hint: cargo build --release -p golf-cli, or set GOLF_EVAL`,
  );
}

/** The options that learn as the page does unless told otherwise, `chunk` tokens at a time. */
export function learningAs(chunk: number): string[] {
  const rule = ["--ttt", "score-first", "--ttt-optimizer", "adamw", "--ttt-lr", "1e-3", "--ttt-epochs", "2"];
  return ["--window", String(chunk), "--ttt-chunk", String(chunk), ...rule];
}

export interface Evaluation {
  val_bpb: number;
  chunks: { bpb: number; steps: number }[];
}

export function evaluate(text: string, ...options: string[]): Evaluation {
  const folder = mkdtempSync(join(tmpdir(), "golf-www-"));
  const file = join(folder, "text.txt");
  writeFileSync(file, text);
  const printed = execFileSync(BINARY, [MODEL.path, "--text", file, "--json", "--quiet", ...options], { encoding: "utf8" });
  return JSON.parse(printed) as Evaluation;
}
