// How the binary is chosen and found.
import { after, describe, it } from "node:test";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { rolldown } from "rolldown";

import { load } from "../../dist/index.js";
import { load as loadWorker } from "../../dist/worker.js";
import { serve } from "../support/server.mjs";
import { expectError } from "./cases/support.mjs";

const dist = new URL("../../dist/", import.meta.url);

/** A module of bindings/src that is not public. */
async function internal(file) {
  const build = await rolldown({ input: new URL(`../../bindings/src/${file}`, import.meta.url).pathname });
  const { output } = await build.generate({ format: "es" });
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}
const { choose } = await internal("runtime/choose.ts");

describe("the choice of a binary", () => {
  const best = {
    environment: "browser-worker",
    simd: true,
    relaxedSimd: true,
    recentCompiler: true,
    threads: true,
    workers: true,
    crossOriginIsolated: true,
    cores: 4,
  };
  const auto = { threads: "auto", simd: "auto" };

  it("takes what there is, and says why", () => {
    const expectChoice = (machine, options, binary, threads, reason) => {
      const choice = choose({ ...auto, ...options }, { ...best, ...machine });
      expect(choice).to.include({ binary, threads, simd: binary.split("-")[0] });
      expect(choice.reason).to.match(reason);
    };
    expectChoice({}, {}, "relaxed-threads", 4, /relaxed SIMD; 4 threads for 4 cores/);
    expectChoice({ cores: 64 }, {}, "relaxed-threads", 8, /8 threads for 64 cores/);
    expectChoice({ cores: 1 }, {}, "relaxed", 1, /1 thread for 1 core/);
    expectChoice({ relaxedSimd: false }, {}, "simd128-threads", 4, /no relaxed SIMD/);
    expectChoice(
      { crossOriginIsolated: false },
      {},
      "relaxed",
      1,
      /Cross-Origin-Opener-Policy: same-origin.*Cross-Origin-Embedder-Policy: require-corp/,
    );
    expectChoice({ threads: false }, {}, "relaxed", 1, /no SharedArrayBuffer/);
    expectChoice({ environment: "browser-main" }, {}, "relaxed", 1, /headwise\/worker/);
    expectChoice({ workers: false }, {}, "relaxed", 1, /service workers, most shared workers/);
    expectChoice({ environment: "node", workers: false }, {}, "relaxed", 1, /--allow-worker/);
    expectChoice({ environment: "node", crossOriginIsolated: false }, {}, "relaxed-threads", 4, /4 threads/);
    expectChoice({}, { simd: "simd128" }, "simd128-threads", 4, /simd128 as asked/);
    expectChoice({}, { threads: 64 }, "relaxed-threads", 64, /64 threads as asked/);
    expectChoice({ crossOriginIsolated: false }, { threads: 1 }, "relaxed", 1, /1 thread as asked/);
  });

  it("takes tiles of 6 rows where a recent compiler has relaxed SIMD", () => {
    const rows = (machine, options) => choose({ ...auto, ...options }, { ...best, ...machine }).tileRows;
    expect(rows({}, {})).to.equal(6);
    expect(rows({ recentCompiler: false }, {})).to.equal(4);
    expect(rows({}, { simd: "simd128" })).to.equal(4);
  });

  it("refuses what was asked for and cannot be had", async () => {
    const refused = (machine, options, parts) =>
      expectError(expect, "unsupported", parts, () => choose({ ...auto, ...options }, { ...best, ...machine }));
    await refused({ relaxedSimd: false }, { simd: "relaxed" }, ["simd", "relaxed"]);
    await refused({ simd: false }, {}, "SIMD");
    await refused({ crossOriginIsolated: false }, { threads: 2 }, ["threads: 2", "Cross-Origin-Opener-Policy"]);
    await refused({ threads: false }, { threads: 2 }, "SharedArrayBuffer");
    await refused({ environment: "browser-main" }, { threads: 2 }, "headwise/worker");
  });
});

for (const [entry, open] of [
  ["headwise", load],
  ["headwise/worker", loadWorker],
]) {
  describe(`the source of the WebAssembly, ${entry}`, () => {
    const works = async (wasm) => {
      const hw = await open({ threads: 1, simd: "simd128", wasm });
      expect((await hw.memory()).liveObjects).to.equal(0);
      await hw.dispose();
    };
    it("may be a folder", async () => {
      await works(dist);
      await works(dist.href);
      await works(dist.href.slice(0, -1));
      await works("dist/");
    });
    it("is the working directory where the folder is empty", async () => {
      const from = process.cwd();
      process.chdir(fileURLToPath(dist));
      try {
        await works("");
        await works((file) => file);
      } finally {
        process.chdir(from);
      }
    });
    it("may be a folder whose address says more", async () => {
      const server = await serve(fileURLToPath(dist));
      try {
        for (const end of ["?v=1", "", "/?v=1#part"]) await works(`${server.url.slice(0, -1)}${end}`);
        expect(new Set(server.requests)).to.deep.equal(new Set(["/headwise-simd128.wasm"]));
      } finally {
        await server.close();
      }
    });
    it("may be a function that gives a promise or a response", async () => {
      const server = await serve(fileURLToPath(dist));
      try {
        await works(async (file) => new URL(file, dist));
        await works(async (file) => readFile(new URL(file, dist)));
        await works((file) => fetch(server.url + file));
        await works(async (file) => new Response(await readFile(new URL(file, dist)))); // of no type
        await expectError(expect, "invalid-file", ["could not load", `${server.url}nowhere`, "404"], () =>
          works(() => fetch(`${server.url}nowhere`)),
        );
        await expectError(expect, "invalid-file", "the response that wasm gave", () => works(() => new Response("no")));
      } finally {
        await server.close();
      }
    });
    it("may be a function from file name to address, bytes or module", async () => {
      await works((file) => new URL(file, dist));
      await works((file) => new URL(file, dist).href);
      const bytes = await readFile(new URL("headwise-simd128.wasm", dist));
      await works((file) => (expect(file).to.equal("headwise-simd128.wasm"), bytes));
      await works(() => new Uint8Array(bytes).buffer);
      const module = await WebAssembly.compile(bytes);
      await works(() => module);
    });
    it("that is missing or wrong is an invalid-file that names it, and is not remembered", async () => {
      await expectError(expect, "invalid-file", ["could not load", "nowhere/headwise-simd128.wasm"], () =>
        works(new URL("nowhere/", dist)),
      );
      await expectError(expect, "invalid-file", "could not load", () => works("http://127.0.0.1:1/"));
      await expectError(expect, "invalid-file", "bytes", () => works(() => new Uint8Array(8)));
      await works(undefined);
    });
    it("that is another module is refused, and no thread stays behind", async () => {
      const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
      for (const threads of [1, 2]) {
        await expectError(expect, "unsupported", "could not start headwise-simd128", () =>
          open({ threads, simd: "simd128", wasm: () => new WebAssembly.Module(empty) }),
        );
      }
    });
    it("runs in several instances at once", async () => {
      const instances = await Promise.all([1, 2, 3].map((threads) => open({ threads })));
      for (const hw of instances) {
        const mha = await hw.multiHeadAttention({ embedDim: 4, numHeads: 2 });
        expect((await hw.memory()).liveObjects).to.equal(1);
        await mha.dispose();
      }
      for (const hw of instances) await hw.dispose();
    });
  });
}

for (const [entry, open] of [
  ["headwise", load],
  ["headwise/worker", loadWorker],
]) {
  describe(`the start of ${entry}`, () => {
    it("ends when its signal aborts, and at once", async () => {
      const controller = new AbortController();
      const { signal } = controller;
      const never = open({ threads: 2, wasm: () => new Promise(() => {}), signal });
      setTimeout(() => controller.abort(), 30);
      await expectError(expect, "aborted", "aborted", () => never);
      await expectError(expect, "aborted", "aborted", () => open({ signal }));
      await expectError(expect, "invalid-option", ["signal", "AbortSignal"], () => open({ signal: {} }));
    });
    it("ends after its limit, and names what did not come", async () => {
      const wasm = () => new Promise(() => {});
      await expectError(expect, "invalid-file", ["no answer within 900 ms", "wasm"], () =>
        open({ timeout: 900, wasm }),
      );
      for (const timeout of [0, -1, 1.5, "1", Infinity])
        await expectError(expect, "invalid-option", "timeout: expected", () => open({ timeout }));
    });
  });
}

describe("a worker that is given", () => {
  const made = [];
  const keep = (worker) => (made.push(worker), worker);
  const hostWorker = () => keep(new Worker(new URL("worker-host.js", dist)));
  after(() => Promise.all(made.map((worker) => worker.terminate())));

  it("and serves an instance is refused to a second load, which leaves it alone", async () => {
    const worker = hostWorker();
    const hw = await loadWorker({ worker, threads: 1 });
    for (const given of [worker, () => worker])
      await expectError(expect, "invalid-option", "serves another", () => loadWorker({ worker: given }));
    // A second copy of the package does not know what the first one uses.
    const { load: loadCopy } = await import(`${dist.href}worker.js?copy`);
    await expectError(expect, "invalid-option", "serves another", () => loadCopy({ worker }));
    expect((await hw.memory()).liveObjects).to.equal(0);
    await hw.dispose();
  });

  it("is free again after a load that failed or was aborted", async () => {
    const worker = hostWorker();
    const nowhere = new URL("nowhere/", dist);
    await expectError(expect, "invalid-file", "could not load", () => loadWorker({ worker, wasm: nowhere }));
    const signal = AbortSignal.timeout(20);
    await expectError(expect, "aborted", "aborted", () =>
      loadWorker({ worker, signal, wasm: () => new Promise(() => {}) }),
    );
    await expectError(expect, "invalid-file", "no answer within 900 ms", () =>
      loadWorker({ worker, timeout: 900, wasm: () => new Promise(() => {}) }),
    );
    const hw = await loadWorker({ worker, threads: 2 });
    expect((await hw.memory()).liveObjects).to.equal(0);
    await hw.dispose();
  });

  it("and is no host is left alone after the limit", async () => {
    const source = 'require("node:worker_threads").parentPort.on("message", () => {})';
    const worker = keep(new Worker(source, { eval: true }));
    await expectError(expect, "worker-lost", ["no answer within 100 ms", "headwise/worker-host"], () =>
      loadWorker({ worker, timeout: 100 }),
    );
    expect(worker.threadId).to.be.greaterThan(0); // -1 once it has ended
  });

  it("and ends by an error of its own says so", async () => {
    const source = `import(${JSON.stringify(new URL("worker-host.js", dist).href)}).then(() =>
      setTimeout(() => { throw new Error("mine"); }, 300));`;
    const hw = await loadWorker({ worker: new Worker(source, { eval: true }), threads: 1 });
    await new Promise((resolve) => setTimeout(resolve, 500));
    await expectError(expect, "worker-lost", "mine", () => hw.memory());
  });
});

it("one signal serves any number of calls", async () => {
  const warnings = [];
  const note = (warning) => warnings.push(String(warning));
  process.on("warning", note);
  const { signal } = new AbortController();
  const hw = await loadWorker({ threads: 1, signal });
  const model = await hw.transformer({ vocabSize: 7, contextLength: 6, layers: 1, embedDim: 8, numHeads: 2 });
  await Promise.all(Array.from({ length: 20 }, () => hw.memory({ signal })));
  const generators = Array.from({ length: 20 }, () => model.generate([1], { maxTokens: 3, signal }));
  await Promise.all(generators.map((generator) => generator.next()));
  await new Promise((resolve) => setTimeout(resolve, 10));
  process.off("warning", note);
  await hw.dispose();
  expect(warnings).to.deep.equal([]);
});

it("an instance may be disposed of in its own onProgress", async () => {
  const tokens = Int32Array.of(1, 2, 3, 4, 5, 6);
  const batches = [{ tokens, targets: tokens }];
  for (const last of [false, true]) {
    const hw = await load({ threads: 1 });
    const model = hw.transformer({ vocabSize: 7, contextLength: 6, layers: 2, embedDim: 8, numHeads: 2 });
    const onProgress = ({ done, total }) => (!last || done === total) && hw.dispose();
    await expectError(expect, "disposed", "disposed", () =>
      hw.pruneByImportance(model, { method: "norm", batches }, { count: 1, batches, onProgress }),
    );
  }
});

it("the worker option takes a worker that is alive and serves no other instance", async () => {
  for (const worker of [5, null, {}, () => 5]) {
    await expectError(expect, "invalid-option", ["worker", "a Worker"], () => loadWorker({ worker }));
  }
  const worker = new Worker(new URL("worker-host.js", dist));
  const hw = await loadWorker({ worker, threads: 1 });
  await worker.terminate();
  await expectError(expect, "worker-lost", "ended", () => loadWorker({ worker }));
  await hw.dispose();
});

it("64 threads can be had, on any number of cores", { timeout: 60_000 }, async () => {
  const hw = await load({ threads: 64 });
  expect(hw.info.threads).to.equal(64);
  const x = { data: new Float32Array(8 * 256 * 64).fill(0.5), shape: [1, 8, 256, 64] };
  expect(hw.attention(x, x, x).output.data.every((value) => Math.abs(value - 0.5) < 1e-6)).to.equal(true);
  hw.dispose();
});
