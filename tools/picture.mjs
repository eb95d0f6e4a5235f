// `npm run picture`: the moving picture of README, docs/page.webp, from the built page in Chromium.
import { join } from "node:path";
import sharp from "sharp";

import { launchChromium } from "../tests/support/browsers.mjs";
import { serve } from "../tests/support/server.mjs";
import { page as buildPage } from "./page.mjs";
import { main, root } from "./steps.mjs";

const width = 960;
const height = 860;
const settled = "main[data-phase=live][aria-busy=false]";

/** Each step of the film does something, and says for how long its frame stays, in ms. */
const film = [
  { stays: 1500 },
  ...["The cat", "The cat sat on", "The cat sat on the mat because it was tired."].map((text) => ({
    act: async (page) => page.locator("#sentence").fill(text),
    stays: 700,
  })),
  ...[1, 2, 3, 4].map((head) => ({
    act: async (page) => (await page.$(`[data-head="${head}"] canvas`)).hover(),
    stays: 900,
  })),
  ...[1, 3].map((head) => ({
    act: async (page) => (await page.$(`[data-head="${head}"] [data-switch=gate]`)).evaluate((input) => input.click()),
    stays: 1300,
  })),
];

main(async () => {
  await buildPage();
  const server = await serve(join(root, "web/dist"));
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.setViewport({ width, height });
    await page.goto(server.url);
    await page.waitForSelector(settled);
    const frames = [];
    for (const { act } of film) {
      await act?.(page);
      await new Promise((later) => setTimeout(later, 300));
      await page.waitForSelector(settled);
      frames.push(await page.screenshot());
    }
    const info = await sharp(frames, { join: { animated: true } })
      .webp({ quality: 80, effort: 5, delay: film.map(({ stays }) => stays), loop: 0 })
      .toFile(join(root, "docs/page.webp"));
    console.log(`docs/page.webp: ${frames.length} frames, ${(info.size / 1e6).toFixed(2)} MB`);
    if (info.size > 2e6) throw new Error("the picture is larger than 2 MB");
  } finally {
    await browser.close();
    await server.close();
  }
});
