// Pictures of every panel in both themes at two widths, for people to look at. Only on request:
//   SCREENSHOTS=../docs/screenshots npm run screenshots

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasChromium, idle, launch, learn, load, press, tab, visit } from "./browser.ts";
import { sample } from "./native.ts";
import { serve, type Site } from "./serve.ts";

const FOLDER = process.env.SCREENSHOTS;
const SIZES = [
  { width: 1280, height: 900 },
  { width: 390, height: 844 },
];

describe.runIf(FOLDER !== undefined && hasChromium)("screenshots", () => {
  let site: Site;
  let browser: Browser;
  beforeAll(async () => {
    site = await serve();
    browser = await launch("cpu");
    mkdirSync(FOLDER ?? "", { recursive: true });
  });
  afterAll(async () => {
    await browser?.close();
    site?.close();
  });

  test.each(["light", "dark"] as const)("of_every_panel_in_%s", async (colorScheme) => {
    for (const viewport of SIZES) {
      const { page, errors } = await visit(browser, site.url, { colorScheme, viewport });
      const shot = async (name: string): Promise<void> => {
        // As high as the page: what sticks to the screen's edge then covers nothing.
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        await page.setViewportSize({ width: viewport.width, height });
        await settle(page);
        await page.screenshot({ path: join(FOLDER ?? "", `${name}-${colorScheme}-${viewport.width}.png`) });
        await page.setViewportSize(viewport);
      };
      await page.locator(".specimen").waitFor();
      await shot("load");
      await load(page);
      await page.locator("#read .surprises button").first().click();
      await page.locator("#read .alternatives dt").first().waitFor();
      await shot("read");
      await learn(page, sample("orvane"), 128);
      await shot("learn");
      await write(page);
      await shot("write");
      for (const name of ["Inspect", "Device"]) {
        await tab(page, name);
        await shot(name.toLowerCase());
      }
      expect(errors).toEqual([]);
      await page.context().close();
    }
  });
});

/** Back to the top, and until what sticks to an edge has been drawn where it now belongs. */
async function settle(page: Page): Promise<void> {
  await page.evaluate(async () => {
    window.scrollTo(0, 0);
    for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
  });
}

async function write(page: Page): Promise<void> {
  await tab(page, "Write");
  await press(page, "Write");
  await page.locator("#write [role=status]", { hasText: "tokens in" }).waitFor();
  await idle(page);
}
