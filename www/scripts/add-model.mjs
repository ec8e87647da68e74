// Puts an artifact beside the page and into its list.
//
//   node scripts/add-model.mjs ARTIFACT --name NAME [--about TEXT] [--provenance KEY=VALUE]...
//
// Copies the file to public/models/NAME.bin and writes its length, its SHA-256 and a specimen, a sentence as the native
// evaluator (GOLF_EVAL, or target/release/golf-eval) reads it, into public/models/manifest.json. An entry of the same name is
// replaced. The page prefers the largest model of the list.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const WWW = fileURLToPath(new URL("..", import.meta.url));
const MODELS = join(WWW, "public/models");
const LIST = join(MODELS, "manifest.json");
const EVALUATOR = process.env.GOLF_EVAL ?? join(process.env.CARGO_TARGET_DIR ?? join(WWW, "../target"), "release/golf-eval");
const SENTENCE =
  "I come here to thank you and to add my tribute, once more, to the Nation's gratitude for this, the 89th Congress. " +
  "This Congress has already reserved for itself an honored chapter in the history of America.";

/** Pieces of SENTENCE with the bits that each costs the model. */
function specimen(artifact) {
  const folder = mkdtempSync(join(tmpdir(), "golf-specimen-"));
  const [text, tokens] = [join(folder, "text.txt"), join(folder, "tokens.jsonl")];
  writeFileSync(text, SENTENCE);
  execFileSync(EVALUATOR, [artifact, "--text", text, "--per-token", tokens, "--json", "--quiet"]);
  const rows = readFileSync(tokens, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const bytes = Buffer.from(SENTENCE);
  let at = 0;
  const pieces = rows.map((row) => {
    const piece = bytes.subarray(at, at + row.bytes).toString();
    at += row.bytes;
    return [piece, Number((row.nll / Math.LN2).toFixed(3))];
  });
  if (at !== bytes.length) throw new Error(`the tokens stand for ${at} bytes of a sentence of ${bytes.length}`);
  return pieces;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: "string" },
    about: { type: "string", default: "" },
    provenance: { type: "string", multiple: true, default: [] },
  },
});
const [artifact] = positionals;
if (artifact === undefined || !/^[\w.-]+$/.test(values.name ?? "")) {
  console.error("usage: node scripts/add-model.mjs ARTIFACT --name NAME [--about TEXT] [--provenance KEY=VALUE]...");
  process.exit(2);
}
const data = readFileSync(artifact);
const file = `${values.name}.bin`;
const entry = {
  name: values.name,
  file,
  bytes: data.length,
  sha256: createHash("sha256").update(data).digest("hex"),
  about: values.about,
  provenance: Object.fromEntries(
    values.provenance.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
  ),
  specimen: specimen(artifact),
};
const list = existsSync(LIST) ? JSON.parse(readFileSync(LIST, "utf8")) : { models: [] };
mkdirSync(MODELS, { recursive: true });
writeFileSync(join(MODELS, file), data);
list.models = [...list.models.filter((model) => model.name !== entry.name), entry];
writeFileSync(LIST, `${JSON.stringify(list, null, 1)}\n`);
console.log(`${file}: ${entry.bytes} bytes, sha256 ${entry.sha256}`);
