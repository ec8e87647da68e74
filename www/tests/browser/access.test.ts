// The page for people who do not see it, do not use a pointer, or hold a phone.

import axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { firstReading, hasChromium, launch, learn, load, tab, visit } from "./browser.ts";
import { sample } from "./native.ts";
import { serve, type Site } from "./serve.ts";

const TABS = ["Load", "Read", "Learn", "Write", "Inspect", "Device"];

describe.runIf(hasChromium)("access", () => {
  let site: Site;
  let browser: Browser;
  beforeAll(async () => {
    site = await serve();
    browser = await launch("cpu");
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  test.each(["light", "dark"] as const)("axe_finds_no_violation_in_any_panel_in_%s", async (colorScheme) => {
    const { page } = await visit(browser, site.url, { colorScheme, bypassCSP: true });
    expect(await page.evaluate(() => document.documentElement.dataset.theme)).toBe(colorScheme);
    await load(page);
    await learn(page, sample("program"), 64);
    await page.addScriptTag({ content: axe.source });
    for (const name of TABS) {
      await tab(page, name);
      const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run());
      const found = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes[0]?.html}`);
      expect(found, name).toEqual([]);
    }
    await page.context().close();
  });

  test("the_whole_way_from_load_to_a_token_goes_by_keyboard", async () => {
    const { page } = await visit(browser, site.url);
    const button = page.getByRole("button", { name: /^Load \d/ }).first();
    await button.waitFor();
    for (let at = 0; at < 10 && !(await focused(page, "primary")); at += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await firstReading(page);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("read");
    for (let at = 0; at < 12 && !(await focused(page, "token")); at += 1) await page.keyboard.press("Tab");
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowUp");
    expect(await focused(page, "token")).toBe(true);
    expect(await page.locator("#read .detail-card").innerText()).toMatch(/Surprise\s+[\d.]+ bits/);
    await page.context().close();
  });

  test.each([1280, 390, 320])("no_panel_is_wider_than_a_screen_of_%i_pixels", async (width) => {
    const { page } = await visit(browser, site.url, { viewport: { width, height: 800 } });
    await load(page);
    for (const name of TABS) {
      await tab(page, name);
      expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(width);
    }
    await page.context().close();
  });
});

async function focused(page: Page, className: string): Promise<boolean> {
  return page.evaluate((name) => document.activeElement?.classList.contains(name) ?? false, className);
}
