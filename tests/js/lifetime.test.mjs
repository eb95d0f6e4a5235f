// Nothing leaks, nothing hangs: modules, instances, workers and the processes that use them.
import { describe, it } from "node:test";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { expect } from "chai";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { unpack } from "../../tools/goldens.mjs";
import { changed } from "../models/cases/support.mjs";
import { tokenizerFiles } from "../models/cases/word_tokenizer.mjs";
import { expectError } from "./cases/support.mjs";
import { random } from "./reference.mjs";

const dist = new URL("../../dist/", import.meta.url);

describe("memory", () => {
  it("is back where it was after 1,000 modules", async () => {
    for (const [open, threads] of [
      [load, 1],
      [load, 2],
      [loadWorker, 2],
    ]) {
      const hw = await open({ threads });
      const x = random([3, 16], 1);
      const cycle = async () => {
        const mha = await hw.multiHeadAttention({ embedDim: 16, numHeads: 4 });
        const pruned = await mha.prune([1]);
        await pruned.forward(x);
        await mha.dispose();
        await pruned.dispose();
      };
      await cycle();
      const before = await hw.memory();
      for (let n = 0; n < 1000; ++n) await cycle();
      expect(await hw.memory()).to.deep.equal(before);
      await hw.dispose();
    }
  });

  it("is back where it was after 200 transformers and optimizers, whichever goes first", async () => {
    for (const open of [load, loadWorker]) {
      const hw = await open({ threads: 2 });
      const tokens = Int32Array.of(1, 2, 3, 4, 5, 6);
      const cycle = async (n) => {
        const model = await hw.transformer({ vocabSize: 7, contextLength: 6, layers: 2, embedDim: 8, numHeads: 2 });
        const optimizer = await hw.adamW({ lr: 0.1 });
        const small = await model.prune({ 0: [1] });
        await model.trainStep(tokens, tokens, optimizer);
        await small.trainStep(tokens, tokens, optimizer);
        await optimizer.step([await model.attention(1)]);
        for await (const _ of small.generate([1], { maxTokens: 9 }));
        const generator = small.generate([1], { maxTokens: 9 });
        await generator.next();
        await generator.return();
        for (const object of n % 2 === 0 ? [optimizer, model, small] : [model, small, optimizer])
          await object.dispose();
      };
      for (let n = 0; n < 2; ++n) await cycle(n);
      const before = await hw.memory();
      expect(before.liveObjects).to.equal(0);
      for (let n = 0; n < 200; ++n) await cycle(n);
      expect(await hw.memory()).to.deep.equal(before);
      await hw.dispose();
    }
  });

  it("has buffers for a call from the first one on", async () => {
    for (const open of [load, loadWorker]) {
      const hw = await open({ threads: 2 });
      const mha = await hw.multiHeadAttention({ embedDim: 48, numHeads: 4 });
      const x = random([2, 70, 48], 1);
      const calls = async () => {
        await mha.forward(x, { causal: true, return: { weights: "probabilities", heads: "values" } });
        await hw.attention(x, x, x, { numHeads: 4, return: { weights: "probabilities" } });
      };
      await calls();
      const first = await hw.memory();
      for (let n = 0; n < 50; ++n) await calls();
      expect(await hw.memory()).to.deep.equal(first);
      await hw.dispose();
    }
  });

  it("is back where it was after 1,000 caches, and does not change from step to step", async () => {
    for (const open of [load, loadWorker]) {
      const hw = await open({ threads: 2 });
      const mha = await hw.multiHeadAttention({ embedDim: 48, numHeads: 4, numKvHeads: 2, rope: {} });
      const empty = await hw.memory();
      for (const prefill of [0, 40]) {
        const cache = await mha.cache({ batch: 2, capacity: 500 });
        if (prefill > 0) await mha.forward(random([2, prefill, 48], 1), { cache, causal: true });
        const token = random([2, 1, 48], 1);
        await mha.forward(token, { cache });
        const first = await hw.memory();
        expect(first.liveObjects).to.equal(2);
        for (let n = prefill + 1; n < 500; ++n) {
          await mha.forward(token, { cache });
          if (n % 50 === 0) expect(await hw.memory(), `token ${n}`).to.deep.equal(first);
        }
        expect(await hw.memory()).to.deep.equal(first);
        await cache.dispose();
      }
      const before = await hw.memory();
      expect(before.liveObjects).to.equal(empty.liveObjects);
      for (let n = 0; n < 1000; ++n) {
        const cache = await mha.cache({ batch: 1, capacity: 100 });
        await mha.forward(random([3, 48], 1), { cache });
        await cache.dispose();
      }
      expect(await hw.memory()).to.deep.equal(before);
      await hw.dispose();
    }
  });

  it("is back where it was after 50 instances", async () => {
    const x = random([1, 4, 64, 64], 1);
    const cycle = async (threads) => {
      const hw = await load({ threads });
      hw.multiHeadAttention({ embedDim: 64, numHeads: 4 }).cache({ batch: 1, capacity: 1000 }); // left to dispose()
      hw.attention(x, x, x);
      hw.dispose();
    };
    const resident = async () => {
      // Memories go with the garbage collector, and threads' stacks with their exit.
      for (let n = 0; n < 5; ++n) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return process.memoryUsage().rss;
    };
    for (const threads of [1, 2]) {
      for (let n = 0; n < 5; ++n) await cycle(threads);
      const before = await resident();
      for (let n = 0; n < 50; ++n) await cycle(threads);
      const grown = (await resident()) - before;
      // One leaked instance keeps 4 MiB of WebAssembly memory: fifty would be 200 MiB.
      expect(grown / 2 ** 20, `${threads} threads: MiB grown`).to.be.lessThan(60);
    }
  });

  it("of modules and caches that nobody holds is freed by the garbage collector", async () => {
    for (const open of [load, loadWorker]) {
      const hw = await open({ threads: 1 });
      for (let n = 0; n < 20; ++n) {
        const mha = await hw.multiHeadAttention({ embedDim: 64, numHeads: 4 });
        await mha.cache({ batch: 1, capacity: 10 });
        const model = await hw.transformer({ vocabSize: 7, contextLength: 6, layers: 1, embedDim: 8, numHeads: 2 });
        const optimizer = await hw.adamW({ lr: 0.1 });
        await model.trainStep(Int32Array.of(1), Int32Array.of(2), optimizer);
        await model.generate([1], { maxTokens: 9 }).next();
      }
      const one = 5; // of the last round, which an engine may keep alive a little longer
      for (let n = 0; n < 50 && (await hw.memory()).liveObjects > one; ++n) {
        globalThis.gc();
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect((await hw.memory()).liveObjects).to.be.at.most(one);
      await hw.dispose();
    }
  });

  it("of a tokenizer is freed with the last model that reads with it", async () => {
    await unpack();
    const hw = await loadWorker({ threads: 1 });
    const source = await changed("gpt2", { files: tokenizerFiles });
    const read = async () => {
      const model = await hw.openModel(source);
      const pruned = await model.prune({ 0: [0] });
      await model.dispose();
      expect((await pruned.forward("word5")).logits.shape).to.deep.equal([1, 97]);
      await pruned.dispose();
      return new WeakRef(pruned.tokenizer);
    };
    const tokenizer = await read();
    for (let n = 0; n < 20; ++n) {
      await new Promise((resolve) => setTimeout(resolve, 10)); // deref() would keep it until here
      globalThis.gc();
    }
    expect(tokenizer.deref()).to.equal(undefined);
    await hw.dispose();
  });

  it("that a large result needs is kept for the next call, not asked for again", async () => {
    const hw = await load({ threads: 2 });
    const x = random([1, 4, 100, 32], 1);
    hw.attention(x, x, x);
    const before = hw.memory();
    for (let n = 0; n < 50; ++n) hw.attention(x, x, x);
    expect(hw.memory()).to.deep.equal(before);
    hw.dispose();
  });
});

describe("a result that JavaScript has no room for", () => {
  it("throws, and leaves the cache as it was", async () => {
    const hw = await load({ threads: 1 });
    const mha = hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
    const cache = mha.cache({ batch: 1, capacity: 4 });
    mha.forward(random([2, 8], 1), { cache });
    const { Float32Array: Real } = globalThis;
    globalThis.Float32Array = class extends Real {
      constructor(...args) {
        if (ArrayBuffer.isView(args[0])) throw new RangeError("Array buffer allocation failed"); // a copy
        super(...args);
      }
    };
    try {
      await expectError(expect, "out-of-memory", "16 floats", () => mha.forward(random([2, 8], 1), { cache }));
    } finally {
      globalThis.Float32Array = Real;
    }
    expect([...cache.length]).to.deep.equal([2]);
    hw.dispose();
  });
});

describe("an allocation that fails in the core", () => {
  it("throws, leaves nothing behind, and the instance works on", async () => {
    const script = new URL("out_of_memory.mjs", import.meta.url).pathname;
    // WebAssembly memory of 64 MiB at most
    const { stdout } = await promisify(execFile)(process.execPath, ["--wasm-max-mem-pages=1024", script]);
    expect(stdout.trim().split("\n")).to.deep.equal(["headwise: as it should be", "headwise/worker: as it should be"]);
  });
});

describe("a worker", () => {
  const slow = random([1, 8, 1500, 64], 1);

  it("that is killed rejects what is pending and what comes later with worker-lost", async () => {
    const worker = new Worker(new URL("worker-host.js", dist));
    const hw = await loadWorker({ worker, threads: 2 });
    const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
    const pending = [hw.attention(slow, slow, slow), hw.memory(), mha.forward(random([2, 4], 1))];
    setTimeout(() => worker.terminate(), 5);
    for (const call of pending) await expectError(expect, "worker-lost", "gone", () => call);
    await expectError(expect, "worker-lost", "gone", () => hw.memory());
    await mha.dispose();
    await hw.dispose();
  });

  it("that is disposed of rejects what is pending with disposed", async () => {
    const hw = await loadWorker();
    const pending = [hw.attention(slow, slow, slow), hw.memory()];
    hw.dispose();
    for (const call of pending) await expectError(expect, "disposed", "disposed", () => call);
  });

  it("drops aborted calls, keeps the order of the others, and goes on", async () => {
    const hw = await loadWorker({ threads: 1 });
    const order = [];
    const note = (name) => (promise) =>
      promise.then(
        () => order.push(name),
        (error) => order.push(`${name} ${error.code}`),
      );
    const controller = new AbortController();
    const { signal } = controller;
    const calls = [
      note("first")(hw.attention(slow, slow, slow)),
      note("aborted")(hw.attention(slow, slow, slow, { signal })),
      note("module")(hw.multiHeadAttention({ embedDim: 4, numHeads: 2, signal })),
      note("last")(hw.memory()),
    ];
    setTimeout(() => controller.abort(), 5);
    await Promise.all(calls);
    expect(order).to.deep.equal(["aborted aborted", "module aborted", "first", "last"]);
    expect((await hw.memory()).liveObjects).to.equal(0);
    await expectError(expect, "aborted", "aborted", () => hw.memory({ signal }));
    await expectError(expect, "invalid-option", ["signal", "AbortSignal"], () => hw.memory({ signal: 3 }));
    const cycle = { causal: true };
    cycle.return = cycle;
    await expectError(expect, "invalid-option", "cannot be sent", () => hw.attention(slow, slow, slow, cycle));
    await expectError(expect, "invalid-option", "cannot be sent", () =>
      hw.attention(slow, slow, slow, { scale: () => 1 }),
    );
    await hw.dispose();
  });

  it("takes back what an aborted call did to a cache, and what is lost with it is lost", async () => {
    const worker = new Worker(new URL("worker-host.js", dist));
    const hw = await loadWorker({ worker, threads: 1 });
    const mha = await hw.multiHeadAttention({ embedDim: 64, numHeads: 4 });
    const cache = await mha.cache({ batch: 1, capacity: 7000 });
    const [prompt, token] = [random([1, 6000, 64], 1), random([1, 1, 64], 2)];
    await mha.forward(token, { cache });
    const expected = await mha.forward(token, { cache });
    const lengthAfter = async (milliseconds, call) => {
      const controller = new AbortController();
      const pending = call({ cache, signal: controller.signal });
      if (milliseconds > 0) await new Promise((resolve) => setTimeout(resolve, milliseconds));
      controller.abort();
      await expectError(expect, "aborted", "aborted", () => pending);
      return [...(await cache.getLength())];
    };
    // Before it has begun; while it runs, for half a second.
    for (const milliseconds of [0, 60])
      expect(await lengthAfter(milliseconds, (options) => mha.forward(prompt, options))).to.deep.equal([2]);
    const first = mha.forward(prompt, { cache: await mha.cache({ batch: 1, capacity: 6000 }) }); // keeps the worker busy
    expect(await lengthAfter(0, ({ signal }) => cache.reset({ signal }))).to.deep.equal([2]);
    await first;
    await cache.reset();
    await mha.forward(token, { cache });
    expect(await mha.forward(token, { cache })).to.deep.equal(expected);

    const pending = [mha.forward(prompt, { cache }), cache.getLength(), cache.reset()];
    setTimeout(() => worker.terminate(), 20);
    for (const call of pending) await expectError(expect, "worker-lost", "gone", () => call);
    await expectError(expect, "worker-lost", "gone", () => mha.forward(token, { cache }));
    await cache.dispose();
    await hw.dispose();
  });

  it("gets copies: inputs changed after the call do not change the result", async () => {
    const hw = await loadWorker();
    const x = random([1, 1, 4, 4], 1);
    const expected = await hw.attention(x, x, x);
    const changed = { data: x.data.slice(), shape: x.shape };
    const result = hw.attention(changed, changed, changed);
    changed.data.fill(0);
    expect(await result).to.deep.equal(expected);
    await hw.dispose();
  });
});

describe("a program that uses the library and ends, ends", () => {
  for (const entry of ["index.js", "worker.js"]) {
    for (const threads of [1, 4]) {
      for (const dispose of [true, false]) {
        it(`${entry}, ${threads} threads, ${dispose ? "with" : "without"} dispose`, { timeout: 20_000 }, async () => {
          const folder = await mkdtemp(join(tmpdir(), "headwise-"));
          const script = join(folder, "script.mjs");
          await writeFile(
            script,
            `import { load } from ${JSON.stringify(new URL(entry, dist).href)};
             const hw = await load({ threads: ${threads} });
             const x = { data: new Float32Array(4 * 512 * 64).fill(1), shape: [1, 4, 512, 64] };
             const { output } = await hw.attention(x, x, x);
             const mha = await hw.multiHeadAttention({ embedDim: 8, numHeads: 2 });
             ${dispose ? "hw.dispose();" : ""}
             console.log(output.data[0], typeof globalThis.Worker);`,
          );
          const { stdout } = await promisify(execFile)(process.execPath, [
            ...process.execArgv.filter((flag) => flag.includes("wasm")),
            script,
          ]);
          expect(stdout.trim()).to.equal("1 undefined");
          await rm(folder, { recursive: true });
        });
      }
    }
  }
});
