// The browser computes what the native evaluator computes, on WebGPU and on the CPU.

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  address,
  type Backend,
  figure,
  hasChromium,
  idle,
  launch,
  learn,
  load,
  press,
  read,
  tab,
  visit,
  type Visit,
} from "./browser.ts";
import { continued, evaluate, hasNative, learningAs, sample } from "./native.ts";
import { serve, type Site } from "./serve.ts";

const BACKENDS: Backend[] = ["webgpu", "cpu"];
/** What both backends are held to, in bits per byte. */
const TOLERANCE = 1e-4;
/** The same after steps of an optimizer, which amplify rounding. */
const LEARNED_TOLERANCE = 1e-3;

/** Short, because the software GPU takes most of a minute for what the CPU reads in one second. */
const TEXT = sample("orvane").slice(0, 250);
/** Tokens a chunk, so that TEXT has four. */
const CHUNK = 32;

const PROMPT = "My fellow citizens, the first thing";
const WRITTEN = 12;

describe.runIf(hasChromium).each(BACKENDS)("on %s", (backend) => {
  let site: Site;
  let browser: Browser;
  let here: Visit;

  beforeAll(async () => {
    site = await serve();
    browser = await launch(backend);
    here = await visit(browser, address(site.url, backend));
    await load(here.page);
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  test("the_backend_is_the_one_under_test_and_says_why", async () => {
    await tab(here.page, "Device");
    const fact = (term: string) => here.page.locator(`#device dt:text-is("${term}") + dd`).innerText();
    expect(await fact("Backend")).toBe(backend === "webgpu" ? "WebGPU" : "CPU, in WebAssembly");
    expect((await fact("Why")).length).toBeGreaterThan(20);
  });

  test.runIf(hasNative)("bits_per_byte_agree_with_the_native_evaluator", async () => {
    expect(Math.abs((await read(here.page, TEXT)) - evaluate(TEXT).val_bpb)).toBeLessThan(TOLERANCE);
  });

  test.runIf(hasNative)("four_chunks_of_learning_follow_the_native_trajectory", async () => {
    await learn(here.page, TEXT, CHUNK);
    const native = evaluate(TEXT, ...learningAs(CHUNK));
    expect(native.chunks).toHaveLength(4);
    for (const [at, chunk] of native.chunks.entries()) {
      const seen = await figure(here.page, `#learn tbody tr:nth-child(${at + 1}) td:nth-child(4) data`);
      expect(Math.abs(seen - chunk.bpb), `chunk ${at}`).toBeLessThan(at === 0 ? TOLERANCE : LEARNED_TOLERANCE);
    }
    const whole = await figure(here.page, "#learn .figures div:nth-child(2) data");
    expect(Math.abs(whole - native.val_bpb)).toBeLessThan(LEARNED_TOLERANCE);
  });

  test("a_token_shows_its_alternatives_to_the_keyboard", async () => {
    await read(here.page, TEXT);
    const tokens = here.page.locator("#read .token[role=option]");
    await tokens.first().focus();
    await here.page.keyboard.press("ArrowRight");
    await here.page.keyboard.press("ArrowRight");
    expect(await tokens.nth(2).getAttribute("aria-selected")).toBe("true");
    await here.page.locator("#read .alternatives dt").first().waitFor();
    expect(await here.page.locator("#read .alternatives dt").count()).toBe(5);
  });

  test.runIf(hasNative)("the_likeliest_text_is_the_native_one_and_stays_the_same", async () => {
    const native = continued(PROMPT, WRITTEN);
    expect(native.length).toBeGreaterThan(10);
    expect(await writeGreedy(here)).toBe(native);
    expect(await writeGreedy(here)).toBe(native);
  });

  test("nothing_was_reported_to_the_console", () => {
    expect(here.errors).toEqual([]);
  });
});

async function writeGreedy({ page }: Visit): Promise<string> {
  await tab(page, "Write");
  await page.getByLabel("Prompt", { exact: true }).fill(PROMPT);
  await page.getByLabel(/^Temperature/).fill("0");
  await page.getByLabel("Tokens", { exact: true }).fill(String(WRITTEN));
  await press(page, "Write");
  await page.waitForFunction(() => /tokens in/.test(document.querySelector("#write [role=status]")?.textContent ?? ""));
  await idle(page);
  return (await page.locator("#write .written span:nth-child(2)").textContent()) ?? "";
}
