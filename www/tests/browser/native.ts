// The native evaluator on the same artifact: what the browser's figures are held against.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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

const BIN = process.env.GOLF_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(WWW, "../target"), "release");

/** Whether the native programs are there; said once where they are not. */
export const hasNative = existsSync(join(BIN, "golf")) && existsSync(join(BIN, "golf-eval"));
if (!hasNative) {
  console.warn(
    `skipped: comparisons, no native \`golf\` and \`golf-eval\` in ${BIN}; hint: cargo build --release -p golf-cli, or set GOLF_BIN`,
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

function run<T>(program: string, ...args: string[]): T {
  return JSON.parse(execFileSync(join(BIN, program), [...args, "--json"], { encoding: "utf8" })) as T;
}

export function evaluate(text: string, ...options: string[]): Evaluation {
  const folder = mkdtempSync(join(tmpdir(), "golf-www-"));
  const file = join(folder, "text.txt");
  writeFileSync(file, text);
  try {
    return run("golf-eval", MODEL.path, "--text", file, "--quiet", ...options);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the model holds likeliest after `prompt`. */
export function continued(prompt: string, tokens: number): string {
  const options = ["--temperature", "0", "--tokens", String(tokens)];
  return run<{ text: string }>("golf", "generate", MODEL.path, "--prompt", prompt, ...options).text;
}
