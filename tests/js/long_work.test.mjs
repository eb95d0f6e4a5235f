// Long work in the worker: it stops at an abort, lets others wait, and leaves nothing behind.
import { describe, it } from "node:test";
import { expect } from "chai";

import { load as loadWorker } from "../../dist/worker.js";
import { expectError } from "./cases/support.mjs";
import { random } from "./reference.mjs";

describe("long work in a worker", () => {
  const tokens = Int32Array.from({ length: 128 }, (_, n) => (n * n) % 50);
  const batches = Array(20).fill({ tokens, targets: tokens });
  const config = { vocabSize: 50, contextLength: 128, layers: 3, embedDim: 96, numHeads: 8 };
  const optimizer = { lr: 0.001 };
  const works = {
    "headImportance by gradients": (hw, model, options) =>
      hw.headImportance(model, batches, { method: "gradient", ...options }),
    "headImportance by leaving out": (hw, model, options) =>
      hw.headImportance(model, batches, { method: "leave-one-out", ...options }),
    "pruneByImportance, which measures": (hw, model, options) =>
      hw.pruneByImportance(model, { method: "norm", batches }, { count: 10, reestimate: 1, ...options }),
    "pruneByImportance, which trains": (hw, model, options) =>
      hw.pruneByImportance(
        model,
        { method: "random", batches: [] },
        { count: 2, fineTune: { optimizer, steps: 1000, batches }, ...options },
      ),
  };

  for (const [name, work] of Object.entries(works)) {
    it(`stops at an abort and frees what it has made: ${name}`, async () => {
      const hw = await loadWorker({ threads: 1 });
      const model = await hw.transformer(config);
      const before = { parameters: await model.parameters(), liveObjects: (await hw.memory()).liveObjects };
      const controller = new AbortController();
      let [steps, since] = [0, 0];
      const onProgress = ({ done, total }) => {
        expect(done).to.be.lessThan(total);
        if (++steps < 4) return;
        since = performance.now();
        controller.abort();
      };
      const pending = work(hw, model, { onProgress, signal: controller.signal });
      await expectError(expect, "aborted", "aborted", () => pending);
      const { liveObjects } = await hw.memory();
      expect(performance.now() - since, "milliseconds until the worker is free").to.be.lessThan(200);
      expect(steps).to.equal(4);
      expect({ parameters: await model.parameters(), liveObjects }).to.deep.equal(before);
      await expectError(expect, "aborted", "aborted", () => work(hw, model, { signal: AbortSignal.abort() }));
      await hw.dispose();
    });
  }

  it("lets calls wait, and is rejected when the instance is disposed of", async () => {
    const hw = await loadWorker({ threads: 1 });
    const model = await hw.transformer(config);
    const order = [];
    const work = hw.headImportance(model, batches.slice(0, 2), { method: "leave-one-out" });
    await Promise.all([work.then(() => order.push("work")), hw.memory().then(() => order.push("memory"))]);
    expect(order).to.deep.equal(["work", "memory"]);
    const pending = works["headImportance by leaving out"](hw, model, {});
    setTimeout(() => hw.dispose(), 20);
    await expectError(expect, "disposed", "disposed", () => pending);
  });

  it("is refused where there is none to watch, and onProgress where it is no function", async () => {
    const hw = await loadWorker({ threads: 1 });
    const x = random([2, 4], 1);
    await expectError(expect, "invalid-option", ["attention", '"onProgress"'], () =>
      hw.attention(x, x, x, { onProgress() {} }),
    );
    await expectError(expect, "invalid-option", ["onProgress", "a function", "1"], () => hw.memory({ onProgress: 1 }));
    const model = await hw.transformer(config);
    const optimizer = await hw.adamW({ lr: 0.1 });
    const [{ tokens, targets }] = batches;
    await expectError(expect, "invalid-option", ["trainStep", '"onProgress"'], () =>
      model.trainStep(tokens, targets, optimizer, { onProgress() {} }),
    );
    const other = await loadWorker({ threads: 1 });
    await expectError(expect, "invalid-option", ["transformer", "another"], () =>
      other.headImportance(model, batches, { method: "norm" }),
    );
    await model.dispose();
    await expectError(expect, "disposed", "transformer", () => hw.headImportance(model, batches, { method: "norm" }));
    await other.dispose();
    await hw.dispose();
  });

  it("generates one token at a time; leaving the loop, an abort and the garbage collector free what it has made", async () => {
    const hw = await loadWorker({ threads: 1 });
    const model = await hw.transformer(config);
    const { liveObjects } = await hw.memory();
    const live = async () => (await hw.memory()).liveObjects - liveObjects;
    const options = { maxTokens: 1000, seed: 1 };
    const prompt = [1, 2, 3];
    const first = [];
    for await (const token of model.generate(prompt, { ...options, maxTokens: 5 })) first.push(token);
    expect(first.length).to.equal(5);
    expect(await live()).to.equal(0);
    const again = [];
    for await (const token of model.generate(prompt, options)) {
      expect(await live()).to.equal(1);
      if (again.push(token) === 5) break;
    }
    expect(again).to.deep.equal(first);
    expect(await live()).to.equal(0);

    const controller = new AbortController();
    const generator = model.generate(prompt, { ...options, signal: controller.signal });
    expect(await generator.next()).to.deep.equal({ value: first[0], done: false });
    controller.abort();
    expect(await live()).to.equal(0); // though nobody has asked for another token
    await expectError(expect, "aborted", "aborted", () => generator.next());
    expect(await generator.next()).to.deep.equal({ value: undefined, done: true });

    const mistaken = model.generate([-1], options);
    await expectError(expect, "invalid-option", "prompt", () => mistaken.next());
    const left = model.generate(prompt, options);
    await left.next();
    expect(await live()).to.equal(1);
    await model.dispose();
    await expectError(expect, "disposed", "disposed", () => left.next());
    await hw.dispose();
  });

  it("that generates and is forgotten is freed by the garbage collector", async () => {
    const hw = await loadWorker({ threads: 1 });
    const model = await hw.transformer(config);
    const { liveObjects } = await hw.memory();
    for (let n = 0; n < 5; ++n) await model.generate([1], { maxTokens: 9 }).next();
    for (let n = 0; n < 50 && (await hw.memory()).liveObjects > liveObjects; ++n) {
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect((await hw.memory()).liveObjects).to.be.at.most(liveObjects + 1);
    await hw.dispose();
  });
});
