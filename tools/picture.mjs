// `npm run picture`: the moving picture of README, docs/page.webp, from the built page in Chromium.
import { join } from "node:path";
import sharp from "sharp";

import { launchChromium } from "../tests/support/browsers.mjs";
import { serve } from "../tests/support/server.mjs";
import { page as buildPage } from "./page.mjs";
import { main, root } from "./steps.mjs";

const width = 960;
const clip = { x: 0, y: 210, width, height: 1160 }; // from the sentence to the last head
const settled = "main[data-phase=live][aria-busy=false]";

/** Each step of the film does something, and says for how long its frame stays, in ms. */
const film = [
  { stays: 1500 },
  ...["The cat", "The cat sat on", "The cat sat on the chair because it was tired."].map((text) => ({
    act: (page) => page.locator("#show-sentence").fill(text),
    stays: 700,
  })),
  ...["1.1", "1.2", "2.3", "2.2"].map((head) => ({
    act: (page) => page.click(`[data-head='${head}'] .map`),
    stays: 900,
  })),
  ...["1.2", "2.2"].map((head) => ({
    act: (page) => page.$eval(`[data-head='${head}'] [data-switch=gate]`, (input) => input.click()),
    stays: 1300,
  })),
];

main(async () => {
  await buildPage();
  const server = await serve(join(root, "web/dist"));
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.setViewport({ width, height: clip.y + clip.height });
    await page.goto(server.url);
    await page.waitForSelector(settled);
    const frames = [];
    for (const { act } of film) {
      await act?.(page);
      await new Promise((later) => setTimeout(later, 300));
      await page.waitForSelector(settled);
      frames.push(await page.screenshot({ clip }));
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
