// What goes wrong for visitors, made to go wrong: the page says so in words, keeps what it had, and goes on.

import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  address,
  fault,
  figure,
  firstReading,
  hasChromium,
  idle,
  launch,
  load,
  press,
  startLearning,
  tab,
  visit,
  type Visit,
} from "./browser.ts";
import { evaluate, hasNative, learningAs, MODEL, sample } from "./native.ts";
import { serve, type Site } from "./serve.ts";

const MODEL_PATH = `models/${MODEL.file}`;
const artifact = readFileSync(MODEL.path);

describe.runIf(hasChromium)("a visit on the CPU", () => {
  let site: Site;
  let browser: Browser;
  let here: Visit;
  beforeAll(async () => {
    browser = await launch("cpu");
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    site = await serve();
    here = await visit(browser, site.url);
    return async () => {
      await here.page.context().close();
      site.close();
    };
  });

  test("without_an_adapter_the_page_names_the_cpu_and_explains_itself", async () => {
    await load(here.page);
    const status = await here.page.locator(".status").innerText();
    expect(status).toContain("CPU");
    await press(here.page, "Why the CPU?");
    expect(await here.page.locator("#device").innerText()).toMatch(/Why\s+\S+/);
    expect(await here.page.locator("#device").innerText()).toContain("chrome://flags");
  });

  test("an_adapter_that_is_asked_for_and_not_there_is_said_to_be_missing", async () => {
    await here.page.goto(address(site.url, "webgpu"));
    await here.page.locator(".notice", { hasText: "There is no graphics adapter." }).waitFor();
    await load(here.page);
    expect(await here.page.locator(".status").innerText()).toContain("CPU");
  });

  test("a_truncated_download_is_told_and_never_cached", async () => {
    site.instead.set(MODEL_PATH, (_, response) => {
      response.writeHead(200, { "content-length": artifact.length });
      response.write(artifact.subarray(0, artifact.length / 2));
      setTimeout(() => response.destroy(), 50);
    });
    await press(here.page, await loadButton(here));
    expect(await fault(here.page)).toContain("The download ended too soon.");
    expect(await kept(here)).toEqual([]);
    site.instead.clear();
    await load(here.page);
    expect(await kept(here)).toHaveLength(1);
  });

  test("a_download_can_be_stopped_without_a_complaint", async () => {
    site.instead.set(MODEL_PATH, (_, response) => {
      response.writeHead(200, { "content-length": artifact.length });
      response.write(artifact.subarray(0, 100_000));
    });
    await press(here.page, await loadButton(here));
    await here.page.getByText(/100,000 of/).waitFor();
    await press(here.page, "Stop");
    await here.page.getByRole("button", { name: /^Load \d/ }).waitFor();
    expect(await here.page.locator('[role="alert"] .notice').count()).toBe(0);
    expect(await kept(here)).toEqual([]);
  });

  test("a_damaged_cache_entry_is_thrown_away_and_fetched_again", async () => {
    await load(here.page);
    await here.page.evaluate(async () => {
      const cache = await caches.open((await caches.keys())[0] ?? "");
      const [key] = await cache.keys();
      const bytes = new Uint8Array(await ((await cache.match(key as Request)) as Response).arrayBuffer());
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await cache.put(key as Request, new Response(bytes));
    });
    await reload(here, site);
    await load(here.page);
    expect(await here.page.locator('[role="status"] .notice').innerText()).toContain("The cached copy was damaged.");
    expect(site.asked.filter((path) => path === MODEL_PATH)).toHaveLength(2);
    await reload(here, site);
    await load(here.page);
    expect(
      site.asked.filter((path) => path === MODEL_PATH),
      "the second copy is good and is used",
    ).toHaveLength(2);
  });

  test("the_cached_model_can_be_deleted", async () => {
    await load(here.page);
    await tab(here.page, "Load");
    await press(here.page, "Delete cached model");
    await here.page.getByRole("button", { name: "Delete cached model" }).waitFor({ state: "hidden" });
    expect(await kept(here)).toEqual([]);
  });

  test.each([
    ["a_file_that_is_no_artifact", Buffer.from("GIF89a, say"), "This file is not a golf artifact."],
    ["an_empty_file", Buffer.alloc(0), "This file is not a golf artifact."],
    ["a_damaged_artifact", flipped(artifact), "This artifact is damaged."],
    ["an_artifact_of_a_newer_major_version", newer(artifact), "This artifact was written by a newer golf."],
  ])("%s_is_refused_in_words_and_the_loaded_model_stays", async (_, buffer, words) => {
    await load(here.page);
    await tab(here.page, "Load");
    await here.page
      .locator('input[type="file"]')
      .setInputFiles({ name: "artifact.bin", mimeType: "application/octet-stream", buffer });
    expect(await fault(here.page)).toContain(words);
    await idle(here.page);
    expect(await here.page.locator(".status").innerText()).toContain(MODEL.name);
    await tab(here.page, "Read");
    await press(here.page, "Read");
    await idle(here.page);
    expect(await figure(here.page, "#read .bars .ours data")).toBeGreaterThan(0);
  });

  test("an_artifact_of_ones_own_loads", async () => {
    await here.page
      .locator('input[type="file"]')
      .setInputFiles({ name: "mine.bin", mimeType: "application/octet-stream", buffer: artifact });
    await firstReading(here.page);
    expect(await here.page.locator(".status").innerText()).toContain("mine.bin");
  });

  test("writing_stops_when_told_and_starts_again", async () => {
    await load(here.page);
    await tab(here.page, "Write");
    await here.page.getByLabel("Tokens", { exact: true }).fill("2048");
    await press(here.page, "Write");
    await here.page.waitForFunction(
      () => (document.querySelector("#write .written span:nth-child(2)")?.textContent ?? "").length > 10,
    );
    await press(here.page, "Stop");
    await here.page.getByText(/^Stopped after/).waitFor();
    expect((await here.page.locator("#write .written span:nth-child(2)").innerText()).length).toBeGreaterThan(10);
    await here.page.getByLabel("Tokens", { exact: true }).fill("4");
    await press(here.page, "Write");
    await here.page.getByText(/^4 tokens in/).waitFor();
    expect(await here.page.locator('[role="alert"] .notice').count()).toBe(0);
  });

  test("a_missing_list_leaves_the_choice_of_a_file", async () => {
    site.instead.set("models/manifest.json", (_, response) => void response.writeHead(404).end());
    await here.page.reload();
    await here.page.getByText("The list of models is missing.").waitFor();
    expect(await here.page.getByRole("button", { name: "Choose a file" }).isVisible()).toBe(true);
  });

  test("a_tab_that_is_never_painted_still_finishes", async () => {
    await here.page.addInitScript(() => {
      window.requestAnimationFrame = () => 0;
    });
    await here.page.reload();
    await load(here.page);
    expect(await figure(here.page, "#read .bars .ours data")).toBeGreaterThan(0);
  });
});

describe.runIf(hasChromium)("a visit on WebGPU", () => {
  test.runIf(hasNative).each([
    ["scores", /^Fixed weights: chunk 2 of 4/],
    ["learns", /^Chunk 2 of 4/],
  ])("a_device_destroyed_while_it_%s_is_replaced_and_the_trajectory_is_the_same", async (_, moment) => {
    const site = await serve();
    const browser = await launch("webgpu");
    try {
      const { page } = await visit(browser, address(site.url, "webgpu"));
      await load(page);
      const text = sample("orvane").slice(0, 250);
      await startLearning(page, text, 32);
      await page.locator("#learn [role=status]", { hasText: moment }).waitFor();
      await tab(page, "Device");
      await page.getByText("Try what happens when the device is lost").click();
      await press(page, "Lose the device now");
      await page.locator('[role="status"] .notice', { hasText: "The graphics device was lost" }).waitFor();
      await idle(page);
      const native = evaluate(text, ...learningAs(32));
      for (const [at, chunk] of native.chunks.entries()) {
        const seen = await figure(page, `#learn tbody tr:nth-child(${at + 1}) td:nth-child(4) data`);
        expect(Math.abs(seen - chunk.bpb), `chunk ${at}`).toBeLessThan(1e-3);
      }
    } finally {
      await browser.close();
      site.close();
    }
  });
});

async function loadButton({ page }: Visit): Promise<string> {
  return page
    .getByRole("button", { name: /^Load \d/ })
    .first()
    .innerText();
}

/** What the browser's cache holds. */
async function kept({ page }: Visit): Promise<string[]> {
  return page.evaluate(async () => {
    const names = await caches.keys();
    const keys = await Promise.all(names.map(async (name) => (await caches.open(name)).keys()));
    return keys.flat().map((request) => request.url);
  });
}

async function reload({ page }: Visit, site: Site): Promise<void> {
  await page.goto("about:blank");
  await page.goto(site.url);
}

function flipped(file: Buffer): Buffer {
  const copy = Buffer.from(file);
  copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 0x10;
  return copy;
}

/** The two bytes at offset 8 are the major version. */
function newer(file: Buffer): Buffer {
  const copy = Buffer.from(file);
  copy.writeUInt16LE(copy.readUInt16LE(8) + 1, 8);
  return copy;
}
