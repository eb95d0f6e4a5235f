// A first visit on a slow line, 1.6 Mbit/s: what is on screen when, after how many bytes. Prints both.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { openSite } from "./screen.mjs";

let site;

before(async () => {
  site = await openSite({ bytesPerSecond: 1.6e6 / 8, compressed: true });
});
after(() => site?.close());

test("at 1.6 Mbit/s the example is there at once, the first live head within 15 s, the whole model within 8 MB", async (t) => {
  const start = performance.now();
  const screen = await site.open({ wait: false });
  const reached = async (name, phases) => {
    await screen.page.waitForSelector(`main:is(${phases.map((phase) => `[data-phase=${phase}]`)})`, {
      timeout: 90_000,
    });
    const seconds = (performance.now() - start) / 1000;
    t.diagnostic(`${name}: ${seconds.toFixed(1)} s, ${(site.served.bytes / 1e6).toFixed(2)} MB`);
    return seconds;
  };
  await screen.page.waitForSelector("[data-head] canvas");
  assert.ok((await reached("example", ["waiting"])) < 4);
  assert.ok((await reached("first layer live", ["partial", "live"])) < 15);
  await reached("whole model live", ["live"]);
  const model = site.served.bytes;
  assert.ok(model < 8e6, `${model} bytes`);
  await screen.done();
});
