// Every section of the built page when the library refuses one of its calls, or its worker is lost: the section shows the
// library's sentence, can be tried again, and leaves no worker behind.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { MANY, openMany } from "./many.mjs";
import { openSite } from "./screen.mjs";

/** The calls that each section makes, in an order in which each is made. */
const sections = {
  Heads: {
    view: "show",
    where: "main",
    ends: "[data-phase=live]",
    calls: ["setHeadGates", "forward", "analyzeHeads", "multiHeadAttention", "transformer", "setParameters"],
  },
  "One head or many": {
    view: "train",
    where: MANY,
    ends: "[data-phase=running]",
    calls: ["transformer", "adamW", "evaluate", "forward", "trainStep"],
  },
  Pruning: {
    view: "prune",
    where: "[data-section=pruning]",
    ends: ":is([data-phase=running], [data-phase=done]):has([data-text=random] span)", // what the last call gives
    calls: ["loadTransformer", "headImportance", "pruneByImportance", "prune", "generate"],
  },
};

let site, workers;

before(async () => {
  site = await openSite();
  const screen = await site.open();
  workers = screen.page.workers().length;
  await screen.done();
});
after(() => site?.close());

for (const [name, { view, where, ends, calls }] of Object.entries(sections)) {
  test(`${name}: a refused call and a lost worker are said, and can be tried again`, async () => {
    const options = { view, init: failCalls };
    const screen = await (where === MANY ? openMany(site, [2], options) : site.open(options));
    const { page } = screen;
    const act = (action) => page.$eval(`${where} ${action}`, (button) => button.click());
    const again = where === "main" ? ".status button" : "[data-action=main]";
    const fails = async (fault, sentence) => {
      await page.evaluate((fault) => (window.fault = fault), fault);
      if (where === "main" && (await screen.phase()) === "live") await page.click("[data-switch=causal]");
      else await act(again);
      await screen.reaches(where, "[data-phase=failed]");
      const status = await page.$eval(`${where} [role=status]`, (element) => element.textContent);
      assert.match(status, sentence, `${fault.method}: ${status}`);
    };
    for (const method of calls) await fails({ method, refused: true }, /failed\.\s.*: expected .*, got /);
    await fails({ method: calls.at(-1), refused: false }, /worker .* is gone: it was terminated/);
    await act(again);
    await screen.reaches(where, ends, { timeout: 120_000 });
    if (where !== "main") await act("[data-action=reset]");
    await screen.workersAre(workers);
    await screen.done();
  });
}

/** In the page, before its scripts: the next call of a method goes to the library with a wrong argument, or ends its worker. */
function failCalls() {
  const { postMessage } = Worker.prototype;
  Worker.prototype.postMessage = function (message, ...rest) {
    const { fault } = window;
    const call = message?.argumentList?.[0]?.value;
    if (call?.method !== undefined && call.method === fault?.method) {
      window.fault = undefined;
      if (fault.refused) call.args = ["wrong"];
      else this.terminate();
    }
    return postMessage.call(this, message, ...rest);
  };
}
