// Long tasks, over 50 ms, on the page's own thread while it trains and while it measures heads: the built page in
// Chromium. Nothing is judged here.
import { join } from "node:path";

import { root } from "../../tools/steps.mjs";
import { launchChromium } from "../support/browsers.mjs";
import { serve } from "../support/server.mjs";

/** Sections, and the part of the page that each is in. */
const sections = { many: "train", pruning: "prune" };
const LONGEST_MS = 180_000;

/** In the page, from the start of a section's work until it is done: milliseconds of each long task, and in all. */
async function watch(name) {
  const section = document.querySelector(`[data-section=${name}]`);
  const tasks = [];
  const observer = new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration)));
  observer.observe({ type: "longtask" });
  section.scrollIntoView();
  const start = performance.now();
  section.querySelector("[data-action=main]").click();
  await new Promise((resolve) => {
    const check = () => ["done", "failed"].includes(section.dataset.phase) && resolve();
    new MutationObserver(check).observe(section, { attributes: true });
  });
  const milliseconds = performance.now() - start;
  await new Promise((resolve) => setTimeout(resolve, 200)); // for the observer's last entries
  observer.disconnect();
  section.querySelector("[data-action=reset]").click();
  return { milliseconds, tasks };
}

/**
 * @returns {Promise<{ section: string, seconds: number, tasks: number[] }[]>} seconds to the result; milliseconds of each
 * long task on the way
 */
export async function pageLongTasks() {
  const host = await serve(join(root, "web/dist"), { isolated: true, csp: true });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(LONGEST_MS);
    await page.goto(host.url);
    await page.waitForSelector("main[data-phase=live][aria-busy=false]");
    const found = [];
    for (const [section, part] of Object.entries(sections)) {
      await page.click(`nav [href="#${part}"]`);
      await page.waitForSelector(`[data-section=${section}]`);
      const { milliseconds, tasks } = await page.evaluate(watch, section);
      found.push({ section, seconds: milliseconds / 1000, tasks });
    }
    return found;
  } finally {
    await browser.close();
    await host.close();
  }
}
