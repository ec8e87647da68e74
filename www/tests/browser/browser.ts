// Chromium with and without a GPU, and the page as a visitor uses it.

import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
/** A software adapter, so that a machine without a GPU runs the same code. */
const SOFTWARE_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];

export type Backend = "webgpu" | "cpu";

/** Whether it is there; said once where it is not. */
export const hasChromium = existsSync(CHROMIUM);
if (!hasChromium) console.warn(`skipped: the browser, none at ${CHROMIUM}; hint: apt-get install chromium, or set CHROMIUM`);

export async function launch(backend: Backend): Promise<Browser> {
  const gpu = backend === "webgpu" ? SOFTWARE_GPU : ["--disable-gpu"];
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", ...gpu] });
}

export interface Visit {
  page: Page;
  /** Errors of the console and of scripts; a test that expects none asserts it is empty. */
  errors: string[];
}

/** The page's address on `backend`: a software adapter is only taken when it is asked for. */
export function address(url: string, backend: Backend): string {
  return backend === "webgpu" ? `${url}?backend=webgpu` : url;
}

export async function visit(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(540_000);
  const errors: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(url);
  return { page, errors };
}

export async function tab(page: Page, name: string): Promise<void> {
  await page.getByRole("tab", { name, exact: true }).click();
}

/** Loads the first listed model and waits until the page has read its first text by itself. */
export async function load(page: Page): Promise<void> {
  await tab(page, "Load");
  const button = page.getByRole("button", { name: /^Load \d/ });
  await button.first().click();
  await firstReading(page);
}

/** What follows the loading of a model by itself: the page reads a text. */
export async function firstReading(page: Page): Promise<void> {
  await page.locator("#read .surprises button").first().waitFor();
  await idle(page);
}

/** Waits until nothing runs. */
export async function idle(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    const job = document.querySelector(".status .job")?.textContent;
    const model = document.querySelector(".status span")?.textContent ?? "";
    return job === "" && !model.startsWith("No model");
  });
}

export async function chooseText(page: Page, panel: "read" | "learn", text: string): Promise<void> {
  await page.locator(`#${panel} textarea`).first().fill(text);
}

/** Starts the panel's job with its own button. */
export async function press(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name, exact: true }).click();
}

/** Reads `text` in the Read panel; gives its bits per byte with all digits. */
export async function read(page: Page, text: string): Promise<number> {
  await tab(page, "Read");
  await chooseText(page, "read", text);
  await press(page, "Read");
  await idle(page);
  return figure(page, "#read .bars .ours data");
}

/** Starts Learn on `text` with so many tokens a chunk. */
export async function startLearning(page: Page, text: string, chunkTokens: number): Promise<void> {
  await tab(page, "Learn");
  await chooseText(page, "learn", text);
  await page.getByLabel("Tokens a chunk").fill(String(chunkTokens));
  await press(page, "Read and learn");
}

/** Runs Learn to its end. */
export async function learn(page: Page, text: string, chunkTokens: number): Promise<void> {
  await startLearning(page, text, chunkTokens);
  await page.locator("#learn [role=status]", { hasText: /^Done/ }).waitFor();
  await idle(page);
}

export async function figure(page: Page, selector: string): Promise<number> {
  const value = Number(await page.locator(selector).first().getAttribute("value"));
  expect(Number.isFinite(value), selector).toBe(true);
  return value;
}

/** The words of the fault on show. */
export async function fault(page: Page): Promise<string> {
  const notice = page.locator('[role="alert"] .notice');
  await notice.waitFor();
  return notice.innerText();
}
