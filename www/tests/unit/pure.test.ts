import { describe, expect, test } from "vitest";
import * as format from "../../src/format.ts";
import { legend, levelOf, valueOf } from "../../src/heat.ts";
import { parseManifest } from "../../src/manifest.ts";
import { byCodec, parts } from "../../src/panels/inspect.ts";
import { bitsPerByte, mostSurprising, running, total } from "../../src/stats.ts";
import { createStore } from "../../src/store.ts";
import { cut, MAX_TEXT_BYTES } from "../../src/views/text-source.ts";
import { niceTicks } from "../../src/views/plot.ts";
import { ENGINE_WORDS, isStop, MODEL_WORDS, wordsFor } from "../../src/words.ts";
import { EngineError, type Model, type Token } from "../../src/engine.ts";
import { ModelError } from "../../src/download.ts";

const token = (text: string, bits: number, bytes = text.length): Token => ({ id: 0, text, bits, bytes });

describe("format", () => {
  test("sizes_are_decimal_like_the_cap", () => {
    expect([999, 1000, 866_377, 15_900_000].map(format.bytes)).toEqual(["999 B", "1.00 kB", "866 kB", "15.9 MB"]);
    expect(format.grouped(16_000_000)).toBe("16,000,000");
  });
  test("a_probability_is_never_a_false_zero_or_hundred", () => {
    expect(format.percent(1)).toBe("100.0%");
    expect(format.percent(0.99999)).toBe("> 99.9%");
    expect(format.percent(2 ** -13)).toBe("0.01%");
    expect(format.percent(2 ** -40)).toBe("< 0.0001%");
  });
  test("a_difference_carries_its_sign_unless_it_is_nothing", () => {
    expect([-0.5, 0.5, -0.00001].map((value) => format.signed(value))).toEqual(["\u22120.5000", "+0.5000", "0.0000"]);
  });
  test("blanks_are_made_visible", () => {
    expect(format.shown(" a\n\t")).toBe("\u2423a\u21b5\u21e5");
  });
});

describe("heat", () => {
  test("every_number_has_a_level_and_the_legend_names_it", () => {
    expect([-1, 0, 1.99, 2, 11.9, 12, 99].map((bits) => levelOf(bits, "token"))).toEqual([0, 0, 0, 1, 5, 6, 6]);
    expect(legend("token")).toEqual(["0\u20132", "2\u20134", "4\u20136", "6\u20138", "8\u201310", "10\u201312", "12+"]);
    expect(legend("byte")[6]).toBe("6+");
  });
  test("a_token_without_bytes_has_no_bits_per_byte", () => {
    expect(valueOf(token("", 3, 0), "byte")).toBe(0);
    expect(valueOf(token("abcd", 6), "byte")).toBe(1.5);
  });
});

describe("stats", () => {
  const chunk = (at: number, bits: number, bytes: number) => ({
    chunk: at,
    chunks: 2,
    tokens: [token("a", bits)],
    bits,
    bytes,
    seconds: 1,
  });
  test("bits_per_byte_is_a_ratio_of_sums", () => {
    const chunks = [chunk(0, 10, 10), chunk(1, 90, 30)];
    expect(bitsPerByte(total(chunks))).toBe(2.5);
    expect(running(chunks)).toEqual([
      { bytes: 10, bpb: 1 },
      { bytes: 40, bpb: 2.5 },
    ]);
    expect(bitsPerByte({ bits: 0, bytes: 0 })).toBe(0);
  });
  test("the_most_surprising_come_first_and_blanks_do_not_count", () => {
    expect(mostSurprising([token("a", 1), token("\n", 9), token("b", 5), token("c", 5)], 2)).toEqual([2, 3]);
  });
});

describe("manifest", () => {
  const entry = { name: "a", file: "a.bin", bytes: 10, sha256: "0".repeat(64) };
  const base = "https://host.example/golf/models/manifest.json";
  test("the_largest_model_comes_first_and_paths_are_relative_to_the_list", () => {
    const models = parseManifest({ models: [entry, { ...entry, name: "b", bytes: 16_000_000 }] }, base);
    expect(models.map((model) => model.name)).toEqual(["b", "a"]);
    expect(models[1]?.url).toBe("https://host.example/golf/models/a.bin");
  });
  test("a_specimen_that_is_none_is_left_out", () => {
    const of = (specimen: unknown) => parseManifest({ models: [{ ...entry, specimen }] }, base)[0]?.specimen;
    expect(of([["a", 1], ["b"], 3, ["c", "d"]])).toEqual([{ text: "a", bits: 1 }]);
    expect(of("odd")).toEqual([]);
  });
  test.each([
    ["no list", null],
    ["an empty list", { models: [] }],
    ["no file", { models: [{ ...entry, file: undefined }] }],
    ["a length that is no number", { models: [{ ...entry, bytes: "10" }] }],
    ["a hash that is none", { models: [{ ...entry, sha256: "abc" }] }],
    ["an entry that is null", { models: [null] }],
  ])("%s is refused", (_, json) => {
    expect(() => parseManifest(json, base)).toThrow(expect.objectContaining({ code: "no-manifest" }));
  });
});

describe("inspect", () => {
  const tensor = (name: string, bits: number, codec: string, storedBytes: number) => ({
    name,
    shape: [2, 2],
    bits,
    codec,
    rawBytes: 100,
    storedBytes,
  });
  const tensors = [
    tensor("blocks.0.attn.c_q.weight", 6, "brotli", 40),
    tensor("blocks.0.mlp.fc.weight", 6, "brotli", 50),
    tensor("tok_emb.weight", 8, "lzma", 60),
    tensor("blocks.0.resid_mix", 16, "store", 4),
  ];
  const model = { bytes: 200, tensors } as unknown as Model;
  test("the_parts_add_up_to_the_file", () => {
    const all = parts(model);
    expect(all.map((part) => part.bytes)).toEqual([40, 50, 60, 4, 46]);
    expect(all.reduce((sum, part) => sum + part.bytes, 0)).toBe(model.bytes);
  });
  test("codecs_are_summed_by_name_and_bits", () => {
    expect(byCodec(tensors)[0]).toEqual({ codec: "brotli", bits: 6, tensors: 2, rawBytes: 200, storedBytes: 90 });
    expect(byCodec(tensors)).toHaveLength(3);
  });
});

describe("words", () => {
  test("every_code_has_a_title_and_a_way_on", () => {
    for (const [code, words] of [...Object.entries(ENGINE_WORDS), ...Object.entries(MODEL_WORDS)]) {
      expect(words.title, code).toMatch(/^[A-Z].*\.$/);
      expect(words.text, code).toMatch(/^[A-Z].*\.$/);
    }
  });
  test("words_are_chosen_by_code_and_keep_the_message_for_a_report", () => {
    const words = wordsFor(new EngineError("newer-version", "version 9"));
    expect(words.title).toBe(ENGINE_WORDS["newer-version"].title);
    expect(words.detail).toBe("newer-version: version 9");
    expect(wordsFor(new ModelError("truncated", "early", 1000, 2000)).text).toContain("1.00 kB of 2.00 kB came");
    expect(wordsFor("odd").detail).toBe("odd");
  });
  test("only_a_stop_is_a_stop", () => {
    expect(isStop(new EngineError("aborted", ""))).toBe(true);
    expect(isStop(new DOMException("", "AbortError"))).toBe(true);
    expect(isStop(new EngineError("internal", ""))).toBe(false);
  });
});

describe("text", () => {
  test("a_long_text_is_cut_between_characters", () => {
    const text = cut("\u20ac".repeat(MAX_TEXT_BYTES));
    expect(new TextEncoder().encode(text).length).toBeLessThanOrEqual(MAX_TEXT_BYTES);
    expect(text).toBe("\u20ac".repeat(Math.floor(MAX_TEXT_BYTES / 3)));
    expect(cut("short")).toBe("short");
  });
});

describe("plot", () => {
  test("ticks_are_round_and_enclose", () => {
    expect(niceTicks(1.105, 1.39, 4)).toEqual([1.1, 1.2, 1.3, 1.4]);
    expect(niceTicks(0, 3170, 6)[0]).toBe(0);
    const flat = niceTicks(2, 2, 4);
    expect(flat[0]).toBeLessThanOrEqual(2);
    expect(flat.at(-1)).toBeGreaterThan(2);
  });
});

describe("store", () => {
  test("a_watcher_hears_only_what_it_picked", () => {
    const store = createStore({ a: 1, b: 1 });
    const heard: number[] = [];
    store.watch(
      (state) => state.a,
      (a) => heard.push(a),
    );
    store.set({ b: 2 });
    store.set({ a: 2 });
    store.set({ a: 2 });
    expect(heard).toEqual([1, 2]);
  });
});
