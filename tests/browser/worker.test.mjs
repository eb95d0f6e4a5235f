// The worker of `headwise/worker` in browsers: no call waits for ever, whatever becomes of the worker that computes.
import assert from "node:assert/strict";
import { it } from "node:test";

import { inEachBrowser } from "./each_browser.mjs";

/** How many tokens make a call long, and how soon a call must reject then. Chromium lets a busy worker live for 2 s. */
const long = {
  chromium: { tokens: 50_000, promptly: 2_000 }, // minutes
  firefox: { tokens: 50_000, promptly: 2_000 },
  webkit: { tokens: 6_000, promptly: 2_000 }, // WebKitGTK ends a terminated worker only when its call is over
};

inEachBrowser((name, here) => {
  const { tokens, promptly } = long[name];

  it("headwise/worker: the page is not blocked while the worker computes; with headwise it is", async () => {
    const measure = (entry) =>
      here.page.evaluate(async (entry) => {
        const hw = await loads[entry]({ threads: 1 });
        const times = [performance.now()];
        const timer = setInterval(() => times.push(performance.now()), 10);
        await attend(hw, 3000);
        clearInterval(timer);
        times.push(performance.now());
        await hw.dispose();
        const gaps = times.slice(1).map((time, i) => time - times[i]);
        return { ticks: times.length - 2, longest: Math.max(...gaps), duration: times.at(-1) - times[0] };
      }, entry);
    const free = await measure("headwise/worker");
    const shown = JSON.stringify(free);
    assert.ok(free.duration > 200, `too short to tell: ${shown}`);
    assert.ok(free.ticks >= 10 && free.longest < free.duration / 2, shown);
    assert.equal((await measure("headwise")).ticks, 0);
    await here.assertClean();
  });

  it("headwise/worker: a terminated worker rejects what is pending and what comes later", async () => {
    const result = await here.page.evaluate(async (tokens) => {
      const worker = new Worker("/dist/worker-host.js", { type: "module" });
      const hw = await loads["headwise/worker"]({ worker });
      const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
      const running = outcome(attend(hw, tokens));
      const waiting = outcome(mha.parameters());
      await new Promise((resolve) => setTimeout(resolve, 200));
      worker.terminate();
      const pending = await Promise.all([running, waiting]);
      const later = await Promise.all([outcome(hw.memory()), outcome(mha.parameters())]);
      await mha.dispose();
      await hw.dispose();
      return [...pending, ...later];
    }, tokens);
    for (const { code, message, milliseconds } of result) {
      assert.equal(code, "worker-lost", message);
      assert.ok(milliseconds < promptly, `after ${milliseconds} ms`);
    }
    await here.assertClean();
  });

  it("headwise/worker: an idle worker that is terminated is noticed by the next call", async () => {
    const { code } = await here.page.evaluate(async () => {
      const worker = new Worker("/dist/worker-host.js", { type: "module" });
      const hw = await loads["headwise/worker"]({ worker: () => worker });
      worker.terminate();
      return outcome(hw.memory());
    });
    assert.equal(code, "worker-lost");
  });

  it("headwise/worker: a worker in use is refused to a second load, and its instance works on", async () => {
    const { second, first } = await here.page.evaluate(async () => {
      const worker = new Worker("/dist/worker-host.js", { type: "module" });
      const hw = await loads["headwise/worker"]({ worker });
      const second = await outcome(loads["headwise/worker"]({ worker }));
      const first = await outcome(attend(hw, 1));
      await hw.dispose();
      return { second, first };
    });
    assert.equal(second.code, "invalid-option");
    assert.match(second.message, /serves another Headwise instance/);
    assert.equal(first.value, "done");
    await here.assertClean();
  });

  it("headwise/worker: an error of the user's own code in a worker does not end the instance", async () => {
    const { value, message } = await here.page.evaluate(async () => {
      const worker = new Worker("/tests/browser/failing_worker.js", { type: "module" });
      const failed = new Promise((resolve) => worker.addEventListener("error", resolve, { once: true }));
      addEventListener("error", (event) => event.preventDefault());
      const hw = await loads["headwise/worker"]({ worker });
      worker.postMessage("fail");
      await failed;
      const result = await outcome(attend(hw, 1));
      await hw.dispose();
      return result;
    });
    assert.equal(value, "done", message);
  });

  it("headwise/worker: dispose rejects what is pending and what comes later", async () => {
    const result = await here.page.evaluate(async (tokens) => {
      const hw = await loads["headwise/worker"]();
      const calls = [outcome(attend(hw, tokens)), outcome(hw.memory())];
      await new Promise((resolve) => setTimeout(resolve, 200));
      await hw.dispose();
      await hw.dispose();
      return Promise.all([...calls, outcome(hw.memory())]);
    }, tokens);
    for (const { code, message, milliseconds } of result) {
      assert.equal(code, "disposed", message);
      assert.ok(milliseconds < promptly, `after ${milliseconds} ms`);
    }
    await here.assertClean();
  });

  it("headwise/worker: an aborted call rejects at once, and the queue goes on", async () => {
    const result = await here.page.evaluate(async () => {
      const hw = await loads["headwise/worker"]({ threads: 1 });
      const settled = [];
      const track = (name, promise) => outcome(promise).then((result) => (settled.push(name), result));
      const [first, second] = [new AbortController(), new AbortController()];
      const calls = [
        track("running", attend(hw, 2000, { signal: first.signal })),
        track("longer", attend(hw, 2000)),
        track("queued", attend(hw, 1, { signal: second.signal })),
        track("last", attend(hw, 1)),
        track("never", attend(hw, 1, { signal: AbortSignal.abort() })),
      ];
      await new Promise((resolve) => setTimeout(resolve, 50));
      first.abort();
      second.abort();
      const outcomes = await Promise.all(calls);
      await hw.dispose();
      return { settled, outcomes: outcomes.map(({ value, code }) => value ?? code) };
    });
    assert.deepEqual(result.outcomes, ["aborted", "done", "aborted", "done", "aborted"]);
    assert.deepEqual(result.settled, ["never", "running", "queued", "longer", "last"]);
    await here.assertClean();
  });

  it("headwise/worker: long work shows its progress, stops at an abort, and the worker is free", async () => {
    const { progress, code, milliseconds, left } = await here.page.evaluate(async () => {
      const hw = await loads["headwise/worker"]({ threads: 1 });
      const model = await hw.transformer({ vocabSize: 9, contextLength: 64, layers: 2, embedDim: 64, numHeads: 8 });
      const tokens = Int32Array.from({ length: 64 }, (_, n) => (n * n) % 9);
      const batches = Array(50).fill({ tokens, targets: tokens });
      const { liveObjects } = await hw.memory();
      const [controller, progress] = [new AbortController(), []];
      let since;
      const onProgress = ({ done, total }) => {
        if (progress.push(`${done} of ${total}`) < 3) return;
        since = performance.now();
        controller.abort();
      };
      const { signal } = controller;
      const { code } = await outcome(
        hw.headImportance(model, batches, { method: "leave-one-out", onProgress, signal }),
      );
      const left = (await hw.memory()).liveObjects - liveObjects;
      const milliseconds = performance.now() - since;
      await hw.dispose();
      return { progress, code, milliseconds, left };
    });
    assert.deepEqual(progress, ["1 of 850", "2 of 850", "3 of 850"]);
    assert.equal(code, "aborted");
    assert.equal(left, 0);
    assert.ok(milliseconds < 200, `after ${milliseconds} ms`);
    await here.assertClean();
  });
});
